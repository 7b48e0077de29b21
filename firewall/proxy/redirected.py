"""Listeners to which the rules of a network namespace redirect what was meant for others."""

import socket
import struct
from collections.abc import Callable, Sequence

from firewall.frozen import frozen
from firewall.proxy.actors import Endpoint
from firewall.proxy.udp import Ancillary

_ORIGINAL_DESTINATION = 80
"""SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST: linux/netfilter_ipv4.h, netfilter_ipv6/ip6_tables.h."""
_ADDRESS4, _ADDRESS6 = struct.Struct("!2xH4s8x"), struct.Struct("!2xH4x16s4x")
"""struct sockaddr_in and sockaddr_in6: ip(7), ipv6(7)."""


@frozen
class Redirected:
    """TCP listeners, and UDP sockets that each know where their datagrams were going."""

    tcp: Sequence[socket.socket]
    udp: Sequence[tuple[socket.socket, Callable[[Ancillary, Endpoint], Endpoint]]]


def redirected_from(client: socket.socket) -> Endpoint:
    """Where an accepted connection was going. Raises OSError where it was not redirected."""
    if client.family == socket.AF_INET6:
        level, form = socket.IPPROTO_IPV6, _ADDRESS6
    else:
        level, form = socket.IPPROTO_IP, _ADDRESS4
    port, address = form.unpack(client.getsockopt(level, _ORIGINAL_DESTINATION, form.size))
    return socket.inet_ntop(client.family, address), port
