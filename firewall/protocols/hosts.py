"""Hosts as peers write them, in the one spelling the firewall judges."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from firewall.protocols.identity import ProtocolError

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_-]{1,63})*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


@lru_cache(maxsize=1024)
def parse_host(text: str) -> str:
    """A host name (lower case, no trailing dot) or an IP address in its shortest spelling.

    IPv6 addresses stand without brackets. What a resolver could read as another spelling of an
    IPv4 address ("127.1", "0x7f000001") is refused, as the WHATWG URL standard ("ends in a
    number") does, so that no host has two meanings. Raises ProtocolError.
    """
    if ":" in text:
        return _parse_ipv6(text)
    name = text.lower().removesuffix(".")
    if not _NAME.fullmatch(name):
        raise ProtocolError(f"{text!r} is no host; write a name in ASCII (IDN as xn--...)")
    return _parse_ipv4(name) if _ends_in_number(name) else name


def split_authority(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Take "host:port" apart (RFC 9110 section 4.3); an IPv6 address needs brackets.

    The host comes back as `parse_host` spells it. Without a port, `default_port` stands in where
    one is given. Raises ProtocolError for anything else: user info, zone ids, odd ports.
    """
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in inside:
            raise ProtocolError(f"{text!r} is no authority; write [IPv6 address]:port")
        host = _parse_ipv6(inside)
    else:
        name, colon, digits = text.partition(":")
        host, rest = parse_host(name), colon + digits
    if not rest and default_port is not None:
        return host, default_port
    return host, _parse_port(rest, text)


def _parse_port(text: str, authority: str) -> int:
    digits = text.removeprefix(":")
    if text == digits or not _PORT.fullmatch(digits) or int(digits) > 65535:
        raise ProtocolError(f"{authority!r} has no valid port; write host:port, 1 to 65535")
    return int(digits)


def _parse_ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError as error:
        raise ProtocolError(f"{text!r} is no IPv6 address: {error}") from None
    if address.scope_id is not None:
        raise ProtocolError(f"{text!r} carries a zone id, which means nothing here; leave it out")
    return str(address)


def _parse_ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ProtocolError(f"{text!r} is no IPv4 address; write four numbers") from None


def _ends_in_number(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.isdecimal() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
