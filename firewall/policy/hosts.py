"""Which hosts a rule names, and finding the rules of a host at a cost that does not grow.

A host is written as a name, as `*.` and a name (every name below it, not itself), as an IP address,
or as a network in CIDR form.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network
from typing import Literal

from firewall.frozen import frozen
from firewall.policy.addresses import Address, Network, carried, parse_address
from firewall.policy.errors import Fault

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?=[a-z0-9_-]*[a-z_-]){_LABEL}")


@frozen
class HostPattern:
    """A parsed host. `text` is the name, the name below which all match, or the network."""

    kind: Literal["name", "below", "network"]
    text: str
    network: Network | None = None

    def covers(self, other: "HostPattern") -> bool:
        """Whether every host of `other` is also one of this."""
        if self.network is not None and other.network is not None:
            return contains(self.network, other.network)
        if self.kind == "below":
            return other.text.endswith("." + self.text) or self == other
        return self == other


def contains(outer: Network, inner: Network) -> bool:
    """Whether all of `inner` lies in `outer`; networks of two families never do."""
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and inner.network_address in outer
    )


def is_name(host: str) -> bool:
    """Whether `host` is a normalised DNS name (RFC 1123, and underscores), not an address."""
    return _NAME.fullmatch(host) is not None


def normalise(host: str) -> str:
    """A host as rules are written: lower case, no trailing dot, no brackets around IPv6."""
    # ASCII only: a Kelvin sign's lower case is "k", and no server agrees.
    host = host.lower() if host.isascii() else host
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1]
    return host.removesuffix(".")


@lru_cache(maxsize=8192)
def read_host(text: str) -> tuple[str, Address | None, bool]:
    """A host as a request has it: normalised, its address if it is one, whether it is a name."""
    host = normalise(text)
    address = parse_address(host)
    return host, address, address is None and is_name(host)


@lru_cache(maxsize=1 << 16)
def parse_host(text: str) -> HostPattern:
    """Parse a host of a rule. Raises Fault that says what to write."""
    if ("/" in text and "://" not in text) or parse_address(text) is not None:
        return _network_pattern(text)
    if text.startswith("*."):
        name = parse_name(text[2:])
        return HostPattern("below", name)
    return HostPattern("name", parse_name(text))


def _network_pattern(text: str) -> HostPattern:
    network = parse_network(text)
    return HostPattern("network", str(network), network)


def parse_network(text: str) -> Network:
    """Parse an IP address or a network in CIDR form. Raises Fault."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        host = text.split("/", maxsplit=1)[0]
        raise Fault(
            f"{text!r} is neither a host nor a network",
            f"{host} (paths belong in requests)" if is_name(host) else "a CIDR such as 10.0.0.0/8",
        ) from None
    inner = getattr(network.network_address, "ipv4_mapped", None)
    if inner is not None and network.prefixlen >= 96:
        raise Fault(f"{text!r} is IPv4 in IPv6 form", f"{inner}/{network.prefixlen - 96}")
    if "/" in text and str(network) != text:
        raise Fault(f"{text!r} has host bits or is not in its usual form", str(network))
    if "/" not in text and str(network.network_address) != text:
        raise Fault(f"{text!r} is not in its usual form", str(network.network_address))
    return network


def parse_name(text: str) -> str:
    """Check that a name is normalised. Raises Fault that says what to write."""
    if is_name(text):
        return text
    if "*" in text:
        raise _bad_glob(text)
    if "://" in text:
        host = text.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
        raise Fault(f"{text!r} is a URL, not a host", normalise(host))
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
        ports = f", and ports: [{port}]" if port.isdecimal() else ""
        raise Fault(f"{text!r} is not just a host", f"{normalise(host)}{ports}")
    raise no_name(text)


def _bad_glob(text: str) -> Fault:
    if set(text) <= set("*."):
        return Fault(f"{text!r} would match every host", "the hosts that are needed, one by one")
    tail = text.rpartition("*")[2].lstrip(".")
    return Fault(
        f"{text!r} has a wildcard that is not a whole first label",
        f"*.{tail} or the names themselves"
        if "." in tail and is_name(tail)
        else "the names themselves",
    )


def no_name(text: str) -> Fault:
    """What is wrong with a text that is no normalised name, and the name to write instead."""
    normal = normalise(text.strip())
    if not normal.isascii():
        normal = _punycode(normal)
    if is_name(normal):
        return Fault(f"the name {text!r} is not in its normal form", normal)
    return Fault(f"{text!r} is not a host name", "a name such as example.com, or an IP address")


def _punycode(name: str) -> str:
    """The ASCII form of a name; "" where it has none, or RFC 3490 and RFC 5891 give it different
    ones, which are two names (the German sharp s)."""
    try:
        ascii_form = name.encode("idna")
        return ascii_form.decode("ascii") if ascii_form.decode("idna") == name.lower() else ""
    except UnicodeError:
        return ""


class NetworkTable[T]:
    """Values by network: one dictionary look-up for each prefix length in use."""

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], dict[int, list[T]]] = {}

    def add(self, network: Network, value: T) -> None:
        shift = network.max_prefixlen - network.prefixlen
        table = self._tables.setdefault((network.version, shift), {})
        table.setdefault(int(network.network_address) >> shift, []).append(value)

    def find(self, address: Address) -> list[T]:
        """The values of all networks that hold the address."""
        if not self._tables:
            return []
        found: list[T] = []
        bits, version = int(address), address.version
        for (family, shift), table in self._tables.items():
            if family == version:
                found += table.get(bits >> shift, ())
        return found


class HostIndex[T]:
    """Values by host: a dictionary for names, one for what they end in, a table for networks."""

    def __init__(self, entries: Iterable[tuple[HostPattern, T]] = ()) -> None:
        self._names: dict[str, list[T]] = {}
        self._below: dict[str, list[T]] = {}
        self._networks: NetworkTable[T] = NetworkTable()
        self._depth = 0
        for pattern, value in entries:
            self._add(pattern, value)

    def _add(self, pattern: HostPattern, value: T) -> None:
        if pattern.network is not None:
            self._networks.add(pattern.network, value)
        elif pattern.kind == "name":
            self._names.setdefault(pattern.text, []).append(value)
        else:
            self._below.setdefault(pattern.text, []).append(value)
            self._depth = max(self._depth, pattern.text.count(".") + 1)

    def by_name(self, name: str) -> list[T]:
        """The values for a normalised name; never more look-ups than the longest wildcard."""
        found = self._names.get(name, ())
        if not self._depth:
            return list(found)
        result = list(found)
        position = len(name)
        for _ in range(self._depth):
            position = name.rfind(".", 0, position)
            if position < 0:
                break
            result += self._below.get(name[position + 1 :], ())
        return result

    def by_address(self, address: Address, *, inner: bool = False) -> list[T]:
        """The values for an address; with `inner`, for those it carries too (NAT64, 6to4...)."""
        found = self._networks.find(address)
        if inner:
            for each in carried(address):
                found += self._networks.find(each)
        return found
