"""Bytes both ways between two sockets: half-close, backpressure, nothing kept while idle.

A direction is either spliced in the kernel, which nobody reads, or watched, which copies each chunk
past the recognisers before it goes on.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from firewall import judge as door
from firewall.protocols import Watch
from firewall.proxy.loop import EDGE, FAILED, READ, WRITE, Loop
from firewall.proxy.pipes import PIPE_SIZE, Pipe, Pipes
from firewall.requests import Direction, Finding
from firewall.verdict import Verdict

WATCH_SIZE = PEEK_SIZE = 1 << 16
TURNS = 16
"""Chunks that one direction may move before other flows have their turn."""

_PIPES = Pipes()
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Judged(Protocol):
    """Asks whether findings may pass, and calls `resume(True or False)` once, on the loop."""

    def __call__(
        self, direction: Direction, findings: Sequence[Finding], resume: Callable[[bool], None]
    ) -> None: ...


class Watcher(Protocol):
    """Reads one direction and says what it found in it (protocols.Watch)."""

    def feed(self, data: bytes) -> tuple[Finding, ...]: ...


class Observer(Protocol):
    """Is told of what the kernel moves, in each direction."""

    def looks(self, direction: Direction) -> bool:
        """Whether it wants to see the next bytes, which are then moved in smaller pieces."""
        ...

    def saw(self, direction: Direction, data: bytes) -> None:
        """Bytes that are about to be moved."""
        ...

    def moved(self, direction: Direction, size: int) -> None:
        """How many bytes are about to be moved."""
        ...


class Metered(Protocol):
    """Counts what moves against limits (charging.Meter)."""

    def left(self, direction: Direction) -> int:
        """How many bytes may move now."""
        ...

    def spend(
        self, direction: Direction, size: int, settled: Callable[[Verdict | None], None]
    ) -> None:
        """Count bytes, and call `settled` at once, with the deny where they are too many."""


type Watchers = Callable[[Direction], Watcher]
type Guard = Callable[[str], contextlib.AbstractContextManager[None]]


def watch(direction: Direction) -> Watcher:
    return Watch("tcp stream", direction)


class Spliced:
    """One direction moved inside the kernel. It has a pipe only while bytes are in it."""

    __slots__ = (
        "_direction", "_held", "_meter", "_observer", "_peeked", "_pipe", "_source", "_target",
        "moved",
    )  # fmt: skip

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        direction: Direction,
        observer: Observer | None,
        meter: Metered | None = None,
    ) -> None:
        self._meter = meter
        self._peeked = source
        self._source = source.fileno()
        self._target = target.fileno()
        self._direction: Direction = direction
        self._observer = observer
        self._pipe: Pipe | None = None
        self._held = 0
        self.moved = 0

    def move(self) -> bool:
        """Move one chunk. False at the end of the stream; BlockingIOError when it must wait."""
        if not self._held and not self._fill():
            return False
        if self._observer is not None:
            self._observer.moved(self._direction, self._held)
        self._drain()
        return True

    @property
    def held(self) -> bool:
        """Whether bytes wait for the target to take them."""
        return self._held > 0

    def close(self) -> None:
        if self._pipe:
            _PIPES.give_back(self._pipe, self._held)
            self._pipe = None

    def _fill(self) -> bool:
        if self._pipe is None:
            self._pipe = _PIPES.take()
        try:
            head = self._peek()
            size = len(head) or PIPE_SIZE
            if self._meter is not None:
                size = _bounded(self._meter, self._direction, size)
            self._held = os.splice(self._source, self._pipe[1], size, flags=_FLAGS)
        except BlockingIOError:
            self.close()
            raise
        if self._meter is not None:
            _spend(self._meter, self._direction, self._held)
        if head and self._observer is not None:
            self._observer.saw(self._direction, head[: self._held])
        return self._held > 0

    def _peek(self) -> bytes:
        """The bytes that come next, where somebody wants to see them."""
        if self._observer is None or not self._observer.looks(self._direction):
            return b""
        return self._peeked.recv(PEEK_SIZE, socket.MSG_PEEK)

    def _drain(self) -> None:
        assert self._pipe is not None
        while self._held:
            count = os.splice(self._pipe[0], self._target, self._held, flags=_FLAGS)
            self._held -= count
            self.moved += count


class Watched:
    """One direction read by the recognisers. A chunk with a finding waits until it is judged."""

    __slots__ = (
        "_direction", "_held", "_judge", "_meter", "_source", "_target", "_waiting", "_wake",
        "_watch", "moved",
    )  # fmt: skip

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        watch: Watcher,
        judge: Callable[[Sequence[Finding], Callable[[bool], None]], None],
        wake: Callable[[], None],
        direction: Direction,
        meter: Metered | None = None,
    ) -> None:
        self._direction: Direction = direction
        self._meter = meter
        self._source = source
        self._target = target
        self._watch = watch
        self._judge = judge
        self._wake = wake
        self._held = memoryview(b"")
        self._waiting = False
        self.moved = 0

    def move(self) -> bool:
        if self._waiting:
            raise BlockingIOError
        if not self._held and not self._fill():
            return False
        self._drain()
        return True

    @property
    def held(self) -> bool:
        """Whether bytes wait for the target to take them."""
        return bool(self._held)

    def close(self) -> None:
        self._held = memoryview(b"")

    def _fill(self) -> bool:
        meter, size = self._meter, WATCH_SIZE
        if meter is not None:
            size = _bounded(meter, self._direction, size)
        data = self._source.recv(size)
        if meter is not None:
            _spend(meter, self._direction, len(data))
        # Held only once it was read: what a recogniser failed on must never be sent.
        findings = self._watch.feed(data)
        self._held = memoryview(data)
        if findings:
            self._waiting = True
            self._judge(findings, self._resume)
            raise BlockingIOError
        return bool(data)

    def _resume(self, allowed: bool) -> None:
        self._waiting = False
        if allowed:
            self._wake()

    def _drain(self) -> None:
        while self._held:
            count = self._target.send(self._held)
            self._held = self._held[count:]
            self.moved += count


class Relay:
    """Relays until both directions have ended or either socket fails, then calls `closed`.

    Both sockets must be non-blocking and become the relay's own. With `judge` the stream is
    watched, by what `watchers` makes; without it, it is spliced, and `observer` is told of it.
    `meter` says how many bytes may move; what would be too many ends both sides with a reset.
    `closed` gets the bytes sent (to upstream) and received. `guard` makes the context in which
    bytes are moved: whatever fails there must end in `abort`.
    """

    __slots__ = (
        "_again", "_client", "_closed", "_guard", "_judge", "_loop", "_meter", "_observer",
        "_open", "_received", "_sent", "_upstream", "_watchers",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        upstream: socket.socket,
        closed: Callable[[int, int], None],
        judge: Judged | None = None,
        watchers: Watchers = watch,
        guard: Guard = lambda _: contextlib.nullcontext(),
        observer: Observer | None = None,
        meter: Metered | None = None,
    ) -> None:
        self._meter = meter
        self._loop = loop
        self._client = client
        self._upstream = upstream
        self._closed = closed
        self._judge = judge
        self._watchers = watchers
        self._guard = guard
        self._observer = observer
        self._sent = self._direction(client, upstream, "sent")
        self._received = self._direction(upstream, client, "received")
        self._open = [(self._sent, upstream), (self._received, client)]
        self._again = False

    def start(self) -> None:
        events = READ | WRITE | EDGE
        for end, ready in (
            (self._client, self._client_ready),
            (self._upstream, self._upstream_ready),
        ):
            keep_alive(end)
            self._loop.watch(end.fileno(), events, ready)

    def abort(self) -> None:
        """End both sides with a reset, so that neither takes a cut for a proper end."""
        for end in (self._client, self._upstream):
            reset_on_close(end)
        self._close()

    def _direction(
        self, source: socket.socket, target: socket.socket, direction: Direction
    ) -> Spliced | Watched:
        if self._judge is None:
            return Spliced(source, target, direction, self._observer, self._meter)
        judge = self._judge

        def ask(findings: Sequence[Finding], resume: Callable[[bool], None]) -> None:
            judge(direction, findings, resume)

        watcher = self._watchers(direction)
        return Watched(source, target, watcher, ask, self._pump, direction, self._meter)

    def _client_ready(self, events: int) -> None:
        failed = bool(events & FAILED)
        self._pump(sent=bool(events & ~WRITE), received=failed or self._received.held)

    def _upstream_ready(self, events: int) -> None:
        failed = bool(events & FAILED)
        self._pump(sent=failed or self._sent.held, received=bool(events & ~WRITE))

    def _pump(self, *, sent: bool = True, received: bool = True) -> None:
        """Move what may have become ready: an attempt for nothing costs system calls."""
        if not (sent or received):
            return
        with self._guard("flow.relay"):
            door.probe("flow.relay")
            self._move_all(sent=sent, received=received)

    def _move_all(self, *, sent: bool, received: bool) -> None:
        if self._client.fileno() < 0:
            return
        wanted = {self._sent: sent, self._received: received}
        try:
            self._open = [each for each in self._open if not wanted[each[0]] or self._move(*each)]
        except OSError:
            self.abort()
            return
        if not self._open:
            self._close()

    def _move(self, direction: Spliced | Watched, target: socket.socket) -> bool:
        """Move what can be moved; False when this direction has ended."""
        try:
            for _ in range(TURNS):
                if not direction.move():
                    if len(self._open) > 1:  # else both are about to be closed, which says it too
                        target.shutdown(socket.SHUT_WR)
                    return False
        except BlockingIOError:
            return True
        self._pump_again()
        return True

    def _pump_again(self) -> None:
        if not self._again:
            self._again = True
            self._loop.post(self._pump_once_more)

    def _pump_once_more(self) -> None:
        self._again = False
        self._pump()

    def _close(self) -> None:
        if self._client.fileno() < 0:
            return
        self._sent.close()
        self._received.close()
        for end in (self._client, self._upstream):
            self._loop.forget(end.fileno())
            end.close()
        self._closed(self._sent.moved, self._received.moved)


def _bounded(meter: Metered, direction: Direction, size: int) -> int:
    """How much is read: a byte where nothing is left, to see whether there is more than that."""
    return max(1, min(size, meter.left(direction)))


def _spend(meter: Metered, direction: Direction, size: int) -> None:
    """Count what was read. Raises ConnectionAbortedError where it may not be passed on."""

    def settled(denied: Verdict | None) -> None:
        if denied is not None:
            raise ConnectionAbortedError(denied.reason)

    meter.spend(direction, size, settled)


def keep_alive(end: socket.socket) -> None:
    """No waiting for more bytes to send, and dead peers are found within minutes."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def reset_on_close(end: socket.socket) -> None:
    """Make close() send a reset instead of a proper end."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
