"""Where a redirected datagram was going, as far as its sender's socket tells.

Conntrack knows it, and tells nobody without a capability. But most programs that speak QUIC or DNS
connect their socket, and the other end of a connected socket is there for all to see (sock_diag(7),
linux/inet_diag.h).
"""

import socket
import struct

from firewall.proxy.actors import Endpoint
from firewall.proxy.udp import unmapped
from firewall.sandbox.netlink import NETLINK_SOCK_DIAG, Message, replies

NOBODY = 0
"""The port of a destination that is not known, whose address is then the unspecified one."""

UNSPECIFIED = ("::", "0.0.0.0")

_SOCK_DIAG_BY_FAMILY = 20
_DUMP = 0x300
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_PATIENCE_S = 0.1
_RECEIVE_BYTES = 1 << 16
_MESSAGE = struct.Struct("!B3xHH16s16s")
"""The start of struct inet_diag_msg: family, ports, addresses."""


class Peers:
    """Asks the kernel, 0.05 ms a datagram; for one thread."""

    def __init__(self) -> None:
        self._diag = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG)
        self._diag.settimeout(_PATIENCE_S)
        self._sequence = 0

    def close(self) -> None:
        self._diag.close()

    def of(self, client: Endpoint) -> Endpoint:
        """The other end of the UDP socket at `client`, or the unspecified address and NOBODY."""
        host, port = client
        # A program may speak IPv4 through a socket of IPv6 (ipv6(7), IPV6_V6ONLY).
        families = (socket.AF_INET6,) if ":" in host else (socket.AF_INET, socket.AF_INET6)
        known = {each for family in families for each in self._ask(family, port)}
        found = [far for near, far in known if near == client and far[1] != NOBODY]
        return found[0] if len(found) == 1 else (UNSPECIFIED["." in host], NOBODY)

    def _ask(self, family: int, port: int) -> list[tuple[Endpoint, Endpoint]]:
        """Both ends of every UDP socket of a port."""
        self._sequence += 1
        question = Message(_SOCK_DIAG_BY_FAMILY, _DUMP, request(family, port))
        self._diag.send(question.encode(self._sequence))
        found: list[tuple[Endpoint, Endpoint]] = []
        while True:
            data = self._diag.recv(_RECEIVE_BYTES)
            # What came too late for an earlier question is not ours.
            if struct.unpack_from("=I", data, 8)[0] != self._sequence:
                continue
            for kind, body in replies(data):
                if kind != _SOCK_DIAG_BY_FAMILY:
                    return found
                found.append(ends(body))


def request(family: int, port: int) -> bytes:
    """struct inet_diag_req_v2 for the UDP sockets of one port."""
    header = struct.pack("=BBBxI", family, socket.IPPROTO_UDP, 0, _ALL_STATES)
    return header + struct.pack("!HH", port, 0) + bytes(36) + _NO_COOKIE


def ends(body: bytes) -> tuple[Endpoint, Endpoint]:
    """Source and destination in a struct inet_diag_msg."""
    family, near, far, source, target = _MESSAGE.unpack_from(body)
    kind, size = (socket.AF_INET6, 16) if family == socket.AF_INET6 else (socket.AF_INET, 4)
    here, there = (unmapped(socket.inet_ntop(kind, each[:size])) for each in (source, target))
    return (here, near), (there, far)
