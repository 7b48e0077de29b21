"""What kind of place an IP address is.

Ranges: the IANA special-purpose address registries (RFC 6890) and the documents named beside them.
An address that carries another (IPv4-mapped, NAT64, 6to4, Teredo...) is what the inner one is.
"""

from enum import StrEnum
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network


class Scope(StrEnum):
    """Where an address leads; only `PUBLIC` needs nobody's consent."""

    PUBLIC = "public"
    PRIVATE = "private"
    UNIQUE_LOCAL = "unique-local"
    SITE_LOCAL = "site-local"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    CGNAT = "carrier-grade NAT"
    METADATA = "cloud metadata"
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    UNSPECIFIED = "unspecified"
    BENCHMARK = "benchmarking"
    NAT64_LOCAL = "local NAT64"
    RESERVED = "reserved"
    INVALID = "not an address"


def _table(text: str) -> tuple[tuple[Network, Scope], ...]:
    rows = (line.split(maxsplit=1) for line in text.strip().splitlines())
    return tuple((ip_network(network), Scope(scope)) for network, scope in rows)


# Instance metadata and the credential services beside it: AWS (IMDS, ECS, EKS), Google, Azure's
# wire server, Alibaba, Tencent, Oracle, OpenStack's IPv6 form. Some lie in otherwise public ranges.
METADATA: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.0.23",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
    )
)

# The documentation networks (RFC 5737, RFC 3849) are left public: they stand for public addresses
# in examples and tests, and nothing is ever found there.
_IPV4 = _table("""
    0.0.0.0/8           unspecified
    10.0.0.0/8          private
    100.64.0.0/10       carrier-grade NAT
    127.0.0.0/8         loopback
    169.254.0.0/16      link-local
    172.16.0.0/12       private
    192.0.0.0/24        reserved
    192.88.99.0/24      reserved
    192.168.0.0/16      private
    198.18.0.0/15       benchmarking
    224.0.0.0/4         multicast
    255.255.255.255/32  broadcast
    240.0.0.0/4         reserved
""")

_IPV6 = _table("""
    ::1/128         loopback
    ::/128          unspecified
    fe80::/10       link-local
    fec0::/10       site-local
    fc00::/7        unique-local
    ff00::/8        multicast
    2001:2::/48     benchmarking
    2001::/23       reserved
    2000::/3        public
    ::/0            reserved
""")

# Prefixes whose address ends in, or holds, an IPv4 address: how far right the 32 bits stand.
_CARRIERS: tuple[tuple[Network, int], ...] = (
    (ip_network("::ffff:0:0/96"), 0),  # IPv4-mapped, RFC 4291 section 2.5.5.2
    (ip_network("::ffff:0:0:0/96"), 0),  # IPv4-translated, RFC 2765
    (ip_network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (ip_network("2002::/16"), 80),  # 6to4, RFC 3056
    (ip_network("::/96"), 0),  # IPv4-compatible, RFC 4291 section 2.5.5.1
)
_TEREDO = IPv6Network("2001::/32")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_PLAIN = (IPv6Address("::"), IPv6Address("::1"))


@lru_cache(maxsize=8192)
def parse_address(text: str) -> Address | None:
    """An IP address from its text, or None. An IPv4-mapped address becomes the IPv4 one, because
    the kernel dials that; a zone ("%eth0") is dropped, because it does not say what is dialled."""
    if ":" not in text and not text[-1:].isdigit():
        return None  # a name, as most are: seen at a glance
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=8192)
def classify(text: str) -> Scope:
    """The scope of the address written as `text`; `Scope.INVALID` where it is none."""
    address = parse_address(text)
    return Scope.INVALID if address is None else scope_of(address)


def scope_of(address: Address) -> Scope:
    """The scope of an address, or the worst of those of the addresses it carries."""
    if any(address in network for network in METADATA):
        return Scope.METADATA
    inner = [scope_of(each) for each in carried(address)]
    if Scope.METADATA in inner:
        return Scope.METADATA
    if isinstance(address, IPv6Address) and address in _NAT64_LOCAL:
        # RFC 8215: only the local network knows where these lead, whatever they seem to carry.
        return Scope.NAT64_LOCAL
    if inner:
        return next((scope for scope in inner if scope is not Scope.PUBLIC), Scope.PUBLIC)
    table = _IPV4 if isinstance(address, IPv4Address) else _IPV6
    return next((scope for network, scope in table if address in network), Scope.PUBLIC)


def carried(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses inside an IPv6 address; none for an ordinary one."""
    if isinstance(address, IPv4Address) or address in _PLAIN:
        return ()
    bits = int(address)
    if address in _TEREDO:  # RFC 4380 section 4: the server, and the client with its bits inverted
        return _inner(bits >> 64), _inner(~bits)
    if address in _NAT64_LOCAL:  # RFC 6052 section 2.2: as a /96, and as a /48 around the u octet
        return _inner(bits), _inner((bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF)
    return tuple(_inner(bits >> shift) for prefix, shift in _CARRIERS if address in prefix)


def _inner(bits: int) -> IPv4Address:
    return IPv4Address(bits & 0xFFFFFFFF)
