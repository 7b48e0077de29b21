"""A network namespace with no route out: every address in the world is local.

Nothing can leave, because a packet to anywhere is delivered here; and what is not meant for the
sandbox itself is given, with its original destination, to the firewall's listeners (tproxy,
Documentation/networking/tproxy.rst). What is neither TCP nor UDP is dropped.
"""

import errno
import ipaddress
import os
import socket
import struct

from firewall.frozen import frozen
from firewall.sandbox import nftables
from firewall.sandbox.netlink import (
    NETLINK_SOCK_DIAG,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    attribute,
    transact,
)

ADDRESSES = {socket.AF_INET: "10.0.0.2", socket.AF_INET6: "fd00::2"}
"""The sandbox's own address in each family; programs see it as the source of what they send."""

IP_TRANSPARENT = 19
IP_RECVORIGDSTADDR = 20
IPV6_RECVORIGDSTADDR = 74
IPV6_TRANSPARENT = 75

_TABLE, _ARRIVING, _OWN = "firewall", "arriving", "own"
_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_IFF_UP = 1
_IFA_F_NODAD = 2
_MAIN_TABLE, _STATIC, _HOST_SCOPE, _LOCAL = 254, 4, 254, 2
_CREATE = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK
_BACKLOG = 16384

_SETTINGS = {
    "net/core/somaxconn": str(_BACKLOG),
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/lo/disable_ipv6": "0",
}


@frozen
class Sockets:
    """The only exits: listeners for TCP and UDP, and the socket that tells whose a flow is."""

    tcp: socket.socket
    udp: socket.socket
    diag: socket.socket


def configure(*, again: bool = False) -> Sockets:
    """Set up this thread's network namespace, a new one, and make its sockets.

    `again` is for one that may have been set up before: what is there stays, and the rules are
    replaced in one step. Needs every capability in that namespace. Raises OSError.
    """
    families = [socket.AF_INET]
    if os.path.exists("/proc/sys/net/ipv6"):
        families.append(socket.AF_INET6)
    for name, value in _SETTINGS.items():
        _set(name, value)
    index = socket.if_nametoindex("lo")
    for message in _interface(index, families):
        _place(message, again=again)
    return _capture(families, again=again)


def _place(message: Message, *, again: bool) -> None:
    try:
        transact(socket.NETLINK_ROUTE, [message])
    except OSError as error:
        if not (again and error.errno == errno.EEXIST):
            raise


def _set(name: str, value: str) -> None:
    path = f"/proc/sys/{name}"
    if os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(value)


def _interface(index: int, families: list[socket.AddressFamily]) -> list[Message]:
    """lo up; then, for each family, one address and a default route that is local."""
    up = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP)
    messages = [Message(_NEW_LINK, NLM_F_ACK, up)]
    for family in families:
        packed = ipaddress.ip_address(ADDRESSES[family]).packed
        header = struct.pack("=BBBBi", family, len(packed) * 8, _IFA_F_NODAD, 0, index)
        both = attribute(1, packed) + attribute(2, packed)
        messages.append(Message(_NEW_ADDRESS, _CREATE, header + both))
        header = struct.pack(
            "=BBBBBBBBI", family, 0, 0, 0, _MAIN_TABLE, _STATIC, _HOST_SCOPE, _LOCAL, 0
        )
        through = attribute(4, struct.pack("=i", index)) + attribute(7, packed)
        messages.append(Message(_NEW_ROUTE, _CREATE, header + through))
    return messages


def _capture(families: list[socket.AddressFamily], *, again: bool) -> Sockets:
    wide = families[-1]
    tcp = _transparent(wide, socket.SOCK_STREAM)
    udp = _transparent(wide, socket.SOCK_DGRAM)
    for each in (tcp, udp):
        each.bind(("", 0))
    tcp.listen(_BACKLOG)
    udp.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
    if wide == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)
    ports = {
        socket.IPPROTO_TCP: tcp.getsockname()[1],
        socket.IPPROTO_UDP: udp.getsockname()[1],
    }
    before = nftables.without_table(_TABLE) if again else []
    nftables.commit([*before, *_rules(families, ports)])
    diag = open_diag()
    for each in (tcp, udp):
        each.setblocking(False)
    return Sockets(tcp, udp, diag)


def _transparent(family: int, kind: int) -> socket.socket:
    """A socket that may speak as any address of its family, and of IPv4 too if it is IPv6."""
    made = socket.socket(family, kind)
    made.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    return made


def open_udp(host: str, port: int, family: int) -> socket.socket:
    """A UDP socket of this namespace that answers as `host`:`port`. Raises OSError."""
    made = _transparent(family, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    made.setblocking(False)
    return made


def open_diag() -> socket.socket:
    """A socket that tells of the sockets of this namespace (sock_diag(7))."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG)


def _rules(families: list[socket.AddressFamily], ports: dict[int, int]) -> list[Message]:
    messages = [
        nftables.new_table(_TABLE),
        nftables.new_chain(_TABLE, _OWN),
        nftables.new_base_chain(_TABLE, _ARRIVING, nftables.PREROUTING),
    ]
    # The listeners answer only captured flows: reached directly they would see their own
    # address as the destination.
    for protocol, port in ports.items():
        match = nftables.destination_port(protocol, port)
        messages.append(nftables.new_rule(_TABLE, _OWN, match, nftables.verdict(nftables.DROP)))
    messages.append(nftables.new_rule(_TABLE, _OWN, nftables.verdict(nftables.ACCEPT)))
    for family in families:
        for prefix in _own(family):
            match = nftables.destination(family, prefix)
            messages.append(nftables.new_rule(_TABLE, _ARRIVING, match, nftables.go_to(_OWN)))
        messages += [_caught(family, protocol, port) for protocol, port in ports.items()]
        # For when the listeners are gone: the kernel refuses at once what no socket waits for.
        messages += [_refused(family, protocol) for protocol in ports]
    return messages


def _own(family: socket.AddressFamily) -> tuple[bytes, bytes]:
    loopback = b"\x7f" if family == socket.AF_INET else ipaddress.ip_address("::1").packed
    return loopback, ipaddress.ip_address(ADDRESSES[family]).packed


def _caught(family: int, protocol: int, port: int) -> Message:
    return nftables.new_rule(
        _TABLE,
        _ARRIVING,
        nftables.family(family),
        nftables.transport(protocol),
        nftables.tproxy(family, port),
        nftables.verdict(nftables.ACCEPT),
    )


def _refused(family: int, protocol: int) -> Message:
    return nftables.new_rule(
        _TABLE,
        _ARRIVING,
        nftables.family(family),
        nftables.transport(protocol),
        nftables.verdict(nftables.ACCEPT),
    )
