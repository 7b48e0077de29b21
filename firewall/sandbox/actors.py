"""Whose flow is it: from the addresses of a socket to the process that holds it.

The sandbox's SOCK_DIAG socket tells the inode of one socket (sock_diag(7), linux/inet_diag.h);
the process is the one that has a descriptor of that inode.
"""

import ipaddress
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, Literal

from firewall.actor import Actor, Process
from firewall.frozen import frozen
from firewall.sandbox.netlink import NETLINK_SOCK_DIAG, NLMSG_ERROR, Message, error_of, replies
from firewall.sandbox.procfs import (
    ARGUMENT_BYTES,
    Glance,
    ancestry,
    describe,
    family,
    glance,
    lineage,
    socket_inodes,
)
from firewall.sandbox.threads import Threads

type Address = tuple[Any, ...]

_SOCK_DIAG_BY_FAMILY = 20
_USER = 64
"""Where struct inet_diag_msg has the socket's user and, after it, its inode."""
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_PATIENCE = struct.pack("=qq", 1, 0)
"""One second, as struct timeval (socket(7))."""
_RECEIVE_BYTES = 1 << 16
_ANCESTORS = 32
"""Ancestors that are told, nearest first, and the sandbox's first process: an agent may nest its
programs without end, and every record carries them."""
_ANCESTOR_BYTES = 2 << 10
"""Of each ancestor's arguments; those of the process itself are kept whole."""
_RECENT = 8
"""Processes that were found last: the next flow is likely theirs."""
_MOMENT_S = 0.5
_REMEMBERED = 256
"""Processes that are remembered for a moment, as long as each runs what it ran."""

type _Look = Callable[[int], Glance]
"""One look at any process: its file of state is read once, however often it is asked for."""


@frozen
class Held:
    """A socket as the kernel tells of it: the user who made it, and its inode."""

    uid: int
    inode: int


class ActorFinder:
    """Finds the actors of one sandbox's flows. May be used by several threads."""

    nobody = "no process inside holds the socket any more"
    """What is said where none of the processes that are looked at has the socket."""

    def __init__(
        self,
        sandbox: str,
        pid: int,
        namespace: int,
        diag: socket.socket,
        threads: Threads | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._pid = pid
        self._namespace = namespace
        self._threads = threads or Threads()
        self._diag = diag
        # The kernel's own patience: Python's would ask poll(2) before each message.
        self._diag.setblocking(True)
        self._diag.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        self._lock = threading.Lock()
        self._sequence = 0
        self._looked: dict[int, dict[str, None]] = {}
        """The processes that were found last, and their descriptors in the order of looks."""
        self._known: dict[tuple[int, int], tuple[float, tuple[bytes, ...], Process]] = {}
        self._without: dict[int, float] = {}

    @classmethod
    def of_host(cls, name: str) -> "ActorFinder":
        """A finder for clients on this machine that are in no sandbox."""
        diag = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG)
        diag.connect((0, 0))
        return cls(name, 1, os.stat("/proc/self/ns/net").st_ino, diag)

    def called(self, pid: int, started: float, call: str) -> None:
        """A process belongs to a tool call, as another process of this firewall has found out."""
        self._threads.learn(pid, started, call)

    def find(
        self,
        flows: Sequence[tuple[Address, Address]],
        transport: Literal["tcp", "udp"] = "tcp",
    ) -> list[Actor]:
        """The actor of each flow, given as the client's address and the destination's.

        Addresses are those of Python's sockets, IPv4 ones also in their IPv6 form. One scan of the
        sandbox's processes answers for all flows. Never raises: an actor that cannot be found is
        `unknown`, with the reason.
        """
        look = cache(glance)
        with self._lock:
            held = [self._held(client, destination, transport) for client, destination in flows]
            wanted = {each.inode for each in held if isinstance(each, Held)}
            parents, found, unreadable = self._search(wanted, look)
        actors = {pid: self._described(pid, parents, look) for pid in set(found.values())}
        return [
            actors[found[each.inode]]
            if isinstance(each, Held) and each.inode in found
            else self._missing(each, unreadable)
            for each in held
        ]

    def _search(self, wanted: set[int], look: _Look) -> tuple[dict[int, int], dict[int, int], int]:
        """Look at those that were found last, and only where that is not enough at all."""
        parents: dict[int, int] = {}
        for pid in self._looked if wanted else ():
            parents.update(lineage(pid, self._pid, look))
        found, unreadable = self._near(parents, wanted)
        if len(found) < len(wanted):
            parents = family(self._pid)
            found, unreadable = holders(parents, wanted)
        recent = tuple(dict.fromkeys((*found.values(), *self._looked)))[:_RECENT]
        self._looked = {pid: self._looked.get(pid, {}) for pid in recent}
        return parents, found, unreadable

    def _near(self, parents: Mapping[int, int], wanted: set[int]) -> tuple[dict[int, int], int]:
        """As `holders`, but for processes above the recent ones that held no socket a moment ago.

        They are shells and supervisors, and to list what they hold costs more than all the rest.
        """
        now = time.monotonic()
        self._without = {pid: until for pid, until in self._without.items() if now < until}
        near = [pid for pid in parents if pid in self._looked or pid not in self._without]
        return holders(near, wanted, self._sockets)

    def _sockets(self, pid: int) -> Iterator[int]:
        holds = False
        for inode in socket_inodes(pid, self._looked.get(pid)):
            holds = True
            yield inode
        if not holds:
            self._without[pid] = time.monotonic() + _MOMENT_S

    def process(self, pid: int) -> Actor:
        """The actor that is a process, which need not be inside. Never raises."""
        try:
            chain = list(ancestry(pid, 1))
        except (OSError, ValueError, IndexError) as error:
            return self._unknown(f"the process could not be read: {error}")
        return Actor(self._sandbox, chain[0], tuple(chain[1:]), self._namespace)

    def _held(self, client: Address, destination: Address, transport: str) -> Held | str:
        try:
            return self._ask(_request(client, destination, transport))
        except (OSError, ValueError) as error:
            return f"the kernel knows no such socket: {error}"

    def _ask(self, body: bytes) -> Held:
        self._sequence += 1
        self._diag.send(Message(_SOCK_DIAG_BY_FAMILY, 0, body).encode(self._sequence))
        while True:
            data = self._answer()
            # An answer that came too late for an earlier question is not ours.
            if struct.unpack_from("=I", data, 8)[0] == self._sequence:
                return _held_in(data)

    def _answer(self) -> bytes:
        try:
            return self._diag.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            raise TimeoutError("it gave no answer in time") from None

    def _missing(self, held: Held | str, unreadable: int) -> Actor:
        if isinstance(held, str):
            return self._unknown(held)
        hidden = f"; {unreadable} processes could not be read" if unreadable else ""
        return replace(self._unknown(f"{self.nobody}{hidden}"), uid=held.uid)

    def _described(self, pid: int, parents: Mapping[int, int], look: _Look) -> Actor:
        try:
            chain = list(self._chain(pid, parents, look))
        except OSError as error:
            return self._unknown(f"the process ended before it could be read: {error}")
        actor = Actor(self._sandbox, chain[0], tuple(chain[1:]), self._namespace)
        return self._threads.of(actor)

    def _chain(self, pid: int, parents: Mapping[int, int], look: _Look) -> Iterable[Process]:
        yield self._process(pid, look)
        if pid == self._pid:
            return
        ancestors = []
        while pid != self._pid:
            pid = parents[pid]
            ancestors.append(pid)
        for each in (*ancestors[:-1][:_ANCESTORS], ancestors[-1]):
            yield self._process(each, look, _ANCESTOR_BYTES)

    def _process(self, pid: int, look: _Look, limit: int = ARGUMENT_BYTES) -> Process:
        """To see that it runs what it ran costs a third of describing it."""
        now, runs = time.monotonic(), look(pid).image
        until, ran, process = self._known.get((pid, limit), (0.0, (), None))
        if process is not None and now < until and runs and runs == ran:
            return process
        if len(self._known) >= _REMEMBERED:
            self._known = {}
        process = describe(pid, limit)
        self._known[pid, limit] = now + _MOMENT_S, runs, process
        return process

    def _unknown(self, reason: str) -> Actor:
        return Actor(self._sandbox, namespace=self._namespace, unknown=reason)


def holders(
    processes: Iterable[int],
    wanted: set[int],
    sockets: Callable[[int], Iterable[int]] | None = None,
) -> tuple[dict[int, int], int]:
    """The first process of these that holds each inode; how many could not be read."""
    found: dict[int, int] = {}
    unreadable = 0
    for pid in processes:
        if len(found) == len(wanted):
            break
        try:
            for inode in (sockets or socket_inodes)(pid):
                if inode in wanted:
                    found.setdefault(inode, pid)
                if len(found) == len(wanted):
                    break
        except PermissionError:
            unreadable += 1
        except OSError:
            continue
    return found, unreadable


def _request(client: Address, destination: Address, transport: str) -> bytes:
    """struct inet_diag_req_v2 for exactly one socket."""
    protocol = socket.IPPROTO_TCP if transport == "tcp" else socket.IPPROTO_UDP
    # For UDP the kernel looks the other way round ("swapped for historical reasons").
    local, remote = (client, destination) if transport == "tcp" else (destination, client)
    source, target = _plain(local[0]), _plain(remote[0])
    number = socket.AF_INET if source.version == 4 else socket.AF_INET6
    ports = struct.pack(">HH", local[1], remote[1])
    addresses = source.packed.ljust(16, b"\0") + target.packed.ljust(16, b"\0")
    header = struct.pack("=BBBxI", number, protocol, 0, _ALL_STATES)
    return header + ports + addresses + struct.pack("=I", 0) + _NO_COOKIE


@lru_cache(maxsize=1024)
def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address


def _held_in(data: bytes) -> Held:
    for kind, body in replies(data):
        if kind == NLMSG_ERROR:
            code = error_of(body)
            raise OSError(code, "closed already" if code else "no answer")
        if kind == _SOCK_DIAG_BY_FAMILY:
            uid, inode = struct.unpack_from("=II", body, _USER)
            if inode:
                return Held(uid, inode)
            raise OSError(0, "it is no longer open")
    raise OSError(0, "no answer")
