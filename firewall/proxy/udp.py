"""UDP from the sandbox: DNS is answered, everything else is denied and recorded.

QUIC is denied so that clients fall back to TCP, where they can be seen.
"""

import contextlib
import ipaddress
import logging
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from firewall import judge
from firewall.actor import Actor
from firewall.judge import Judge, fail_closed
from firewall.protocols import identify_datagram
from firewall.proxy.actors import Endpoint, Found
from firewall.proxy.dns import Resolution
from firewall.proxy.loop import READ, Loop
from firewall.proxy.names import Names
from firewall.requests import Connect
from firewall.verdict import Verdict

logger = logging.getLogger(__name__)

DNS_PORT = 53
DATAGRAM = 1 << 16
BURST = 64
RECORD_AGAIN_SECONDS = 10.0
"""A client that repeats a denied datagram is recorded once in this time."""
REPLY_SOCKETS = 64
WAITING = 1024
"""Datagrams that may wait for their process to be found; more are dropped, as UDP may be."""

type Ancillary = list[tuple[int, int, bytes]]
"""Control messages of a datagram (recvmsg(2)): level, type and data of each."""

IP_ORIGDSTADDR = 20
IPV6_ORIGDSTADDR = 74
"""linux/in.h and linux/in6.h; the listener asked for them with the IP_RECV... options."""


class UdpListener:
    """The sandbox's UDP socket, which receives what was sent to any address."""

    def __init__(
        self,
        loop: Loop,
        judge: Judge,
        names: Names,
        listener: socket.socket,
        open_reply: Callable[[Endpoint, int], socket.socket] | None,
        find_actor: Callable[[Endpoint, Endpoint, Found], None],
        destination: Callable[[Ancillary, Endpoint], Endpoint],
    ) -> None:
        """`destination` tells where a datagram was going, from its control messages and its client;
        `open_reply` makes the socket that answers from there, where the listener itself cannot."""
        self._loop = loop
        self._judge = judge
        self._names = names
        self._listener = listener
        self._open_reply = open_reply
        self._find_actor = find_actor
        self._destination = destination
        self._resolution = Resolution(judge, names, loop.post)
        self._replies: OrderedDict[Endpoint, socket.socket] = OrderedDict()
        self._recorded: OrderedDict[tuple[Endpoint, Endpoint], float] = OrderedDict()
        self._waiting = 0
        listener.setblocking(False)
        loop.watch(listener.fileno(), READ, self._readable)

    def close(self) -> None:
        self._loop.forget(self._listener.fileno())
        for each in self._replies.values():
            each.close()

    def _readable(self, events: int) -> None:
        for _ in range(BURST):
            try:
                data, ancillary, _, client = self._listener.recvmsg(DATAGRAM, 128)
            except BlockingIOError:
                return
            with fail_closed(self._judge, "udp.datagram", self._drop):
                judge.probe("udp.datagram")
                sender = endpoint(client)
                self._datagram(data, sender, self._destination(ancillary, sender))

    def _datagram(self, data: bytes, client: Endpoint, destination: Endpoint) -> None:
        if self._waiting >= WAITING:
            return
        if destination[1] != DNS_PORT and not self._is_new(client, destination):
            return

        def known(actor: Actor) -> None:
            self._waiting -= 1
            with fail_closed(self._judge, "udp.judge", self._drop, actor=actor):
                judge.probe("udp.judge")
                self._judged(data, client, destination, actor)

        self._waiting += 1
        self._find_actor(client, destination, known)

    def _judged(self, data: bytes, client: Endpoint, destination: Endpoint, actor: Actor) -> None:
        if destination[1] == DNS_PORT:
            self._ask(data, client, destination, actor)
        else:
            self._deny(data, client, destination, actor)

    def _ask(self, data: bytes, client: Endpoint, destination: Endpoint, actor: Actor) -> None:
        facts = _facts(client, destination)

        def reply(answer: bytes) -> None:
            # A link-local or multicast destination cannot be answered from.
            with contextlib.suppress(OSError):
                self._reply_socket(destination).sendto(answer, client)

        self._resolution.answer(data, actor, facts, reply)

    def _deny(self, data: bytes, client: Endpoint, destination: Endpoint, actor: Actor) -> None:
        host = self._names.name(destination[0]) or destination[0]
        spoken = identify_datagram(data)
        request = Connect(
            host,
            destination[1],
            transport="udp",
            protocol=spoken.protocol,
            findings=spoken.findings,
        )
        self._judge.decide(request, actor, _facts(client, destination), self._drop)

    def _drop(self, verdict: Verdict) -> None:
        """Whatever was decided, a datagram has nowhere to go."""

    def _is_new(self, client: Endpoint, destination: Endpoint) -> bool:
        """Whether this pair was not recorded lately: a flood must not fill the log."""
        now = time.monotonic()
        key = (client, destination)
        fresh = now - self._recorded.get(key, -RECORD_AGAIN_SECONDS) >= RECORD_AGAIN_SECONDS
        if fresh:
            self._recorded[key] = now
            if len(self._recorded) > 4096:
                self._recorded.popitem(last=False)
        return fresh

    def _reply_socket(self, source: Endpoint) -> socket.socket:
        """A socket that answers from the address that was asked."""
        if self._open_reply is None:
            return self._listener
        known = self._replies.get(source)
        if known is None:
            family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
            known = self._replies[source] = self._open_reply(source, family)
            known.setblocking(False)
            if len(self._replies) > REPLY_SOCKETS:
                self._replies.popitem(last=False)[1].close()
        return known


def original_destination(ancillary: Ancillary, client: Endpoint) -> Endpoint:
    """Where a datagram was going, from its control messages; ValueError if they do not say."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_ORIGDSTADDR):
            (port,) = struct.unpack_from("!H", data, 2)
            return socket.inet_ntop(socket.AF_INET, data[4:8]), port
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_ORIGDSTADDR):
            (port,) = struct.unpack_from("!H", data, 2)
            return unmapped(socket.inet_ntop(socket.AF_INET6, data[8:24])), port
    raise ValueError("a datagram without its original destination")


def endpoint(address: Any) -> Endpoint:
    """A socket address as (IP address, port), IPv4 where it is IPv4 in IPv6's clothes."""
    return unmapped(address[0]), address[1]


@lru_cache(maxsize=1024)
def unmapped(address: str) -> str:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def _facts(client: Endpoint, destination: Endpoint) -> dict[str, object]:
    return {"client": list(client), "dialled": list(destination)}
