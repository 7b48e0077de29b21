"""The TLS ClientHello (RFC 8446 section 4.1.2), also when spread over several records.

The server name is RFC 6066 section 3, ALPN is RFC 7301, GREASE values are RFC 8701.
"""

import re
from functools import lru_cache
from struct import Struct

from firewall.protocols.hello import ALPN, SERVER_NAME, ClientHello
from firewall.protocols.hosts import parse_host
from firewall.protocols.identity import MORE, Answer, Identity, More, ProtocolError
from firewall.requests import Finding

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SESSION = 2 + 32
"""Where the session id stands: behind the version and the random."""
_RECORD_LIMIT = 1 << 14
_HELLO_LIMIT = 32 << 10
"""Bytes of a ClientHello. Those of today, post-quantum keys included, stay below 4 KiB."""

_EXTENSION = Struct(">HH")
_GREASE = re.compile(rb"([\x0a\x1a\x2a\x3a\x4a\x5a\x6a\x7a\x8a\x9a\xaa\xba\xca\xda\xea\xfa])\1")

_TUNNEL_SERVERS = {"cftunnel.com": "cloudflared", "ngrok-agent.com": "ngrok"}
_TUNNEL_ALPN = {"argotunnel": "cloudflared"}
_TOR = re.compile(r"www\.(?=[a-z2-7]*[2-7][a-z])([a-z2-7]{8,25})\.(com|net)")
"""What Tor makes up for a name (tor src/core/or/connection_or.c: crypto_random_hostname)."""

_VOWELS = 0.3
"""The share of vowels that words have at least; of random base32 it is 5 of 32."""


def recognise(data: bytes) -> Answer:
    """Identify TLS; a malformed ClientHello is not TLS."""
    try:
        hello = parse_client_hello(data)
    except ProtocolError:
        return None
    if isinstance(hello, More):
        return MORE
    return Identity("tls", sni=hello.sni, alpn=hello.alpn, findings=_findings(hello), hello=hello)


def parse_client_hello(data: bytes) -> ClientHello | More:
    """Parse the ClientHello at the start of a stream; raises ProtocolError when it is none."""
    message = bytearray()
    start = 0
    while True:
        record = data[start : start + 5]
        _check_record(record)
        if len(record) < 5:
            return MORE
        end = start + 5 + int.from_bytes(record[3:5])
        message += data[start + 5 : end]
        length = _message_length(message)
        if length is not None and len(message) >= length:
            return _parse_body(bytes(message[4:length]), min(end, len(data)))
        if len(data) < end:
            return MORE
        start = end


def _check_record(header: bytes) -> None:
    """Refuse a record header as soon as its bytes cannot be TLS (RFC 8446 section 5.1)."""
    if header[:1] not in (b"", bytes([_HANDSHAKE])) or header[1:2] not in (b"", b"\x03"):
        raise ProtocolError("not a TLS handshake record")
    if header[2:3] > b"\x04" or (
        len(header) == 5 and not 0 < int.from_bytes(header[3:]) <= _RECORD_LIMIT
    ):
        raise ProtocolError("not a TLS record of this world")


def _message_length(message: bytearray) -> int | None:
    if message and message[0] != _CLIENT_HELLO:
        raise ProtocolError("the first handshake message is no ClientHello")
    if len(message) < 4:
        return None
    length = 4 + int.from_bytes(message[1:4])
    if length > _HELLO_LIMIT:
        raise ProtocolError(f"a ClientHello of {length} bytes is too long")
    return length


def _vector(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """A field preceded by its length in `size` bytes (RFC 8446 section 3.4), and where it ends.
    Raises ProtocolError where the data end first."""
    start = at + size
    end = start + int.from_bytes(data[at:start])
    if end > len(data):
        raise ProtocolError("the ClientHello ends inside a field")
    return data[start:end], end


def _parse_body(body: bytes, length: int) -> ClientHello:
    version = int.from_bytes(body[:2])
    session, at = _vector(body, _SESSION, 1)
    ciphers, at = _vector(body, at, 2)
    compression, at = _vector(body, at, 1)
    if len(session) > 32 or not ciphers or len(ciphers) % 2 or not compression:
        raise ProtocolError("the ClientHello's fixed fields are malformed")
    block, at = _vector(body, at, 2) if at < len(body) else (b"", at)
    if at != len(body):
        raise ProtocolError("bytes follow the extensions")
    extensions = _parse_extensions(block)
    sni = _parse_server_name(extensions[SERVER_NAME]) if SERVER_NAME in extensions else None
    alpn = _parse_alpn(extensions[ALPN]) if ALPN in extensions else ()
    return ClientHello(sni, alpn, length, version, ciphers, extensions)


def _parse_extensions(block: bytes) -> dict[int, bytes]:
    """By type. A type that comes twice is an error (RFC 8446 section 4.2)."""
    extensions: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(block):
        kind, length = _EXTENSION.unpack_from(block, at)
        at += 4 + length
        if kind in extensions:
            raise ProtocolError(f"extension {kind} comes twice")
        extensions[kind] = block[at - length : at]
    if at != len(block):
        raise ProtocolError("the extensions end inside one")
    return extensions


def _parse_server_name(extension: bytes) -> str:
    names, end = _vector(extension, 0, 2)
    name, last = _vector(names, 1, 2)
    if names[0] != 0 or last != len(names) or end != len(extension):
        raise ProtocolError("the server name is not exactly one host name")
    return parse_host(name.decode("ascii", "replace"))


@lru_cache(maxsize=64)
def _parse_alpn(extension: bytes) -> tuple[str, ...]:
    """Remembered, as a machine's few TLS libraries open all its flows."""
    names, end = _vector(extension, 0, 2)
    protocols, at = [], 0
    while at < len(names):
        protocol, at = _vector(names, at, 1)
        protocols.append(protocol)
    if not protocols or b"" in protocols or end != len(extension):
        raise ProtocolError("the ALPN list is malformed")
    return tuple(
        name.decode("ascii", "backslashreplace")
        for name in protocols
        if not _GREASE.fullmatch(name)
    )


def _findings(hello: ClientHello) -> tuple[Finding, ...]:
    """Tunnel tools that name themselves (cloudflared connection/protocol.go, ngrok-go)."""
    where = f"client bytes 0-{hello.length - 1}"
    for domain, tool in _TUNNEL_SERVERS.items():
        if hello.sni and (hello.sni == domain or hello.sni.endswith("." + domain)):
            return (Finding("tunnel", tool, f"TLS server name {hello.sni}", where),)
    for protocol in hello.alpn:
        if protocol in _TUNNEL_ALPN:
            evidence = f"TLS application protocol {protocol}"
            return (Finding("tunnel", _TUNNEL_ALPN[protocol], evidence, where),)
    if hello.sni and not hello.alpn and looks_made_up(hello.sni):
        evidence = f"TLS server name {hello.sni} looks made up, and no ALPN"
        return (Finding("tunnel", "tor", evidence, where, "suspicious"),)
    return ()


def looks_made_up(name: str, ending: str = "com") -> bool:
    """Whether a name is one that Tor makes up; it ends in "com" for servers, and "net" for who
    signs."""
    found = _TOR.fullmatch(name)
    if found is None or found[2] != ending:
        return False
    return sum(map(found[1].count, "aeiou")) < _VOWELS * len(found[1])
