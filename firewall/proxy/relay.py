"""Bytes both ways between two sockets: half-close, backpressure, nothing kept while idle."""

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from firewall import judge as door
from firewall.protocols import Watch
from firewall.proxy.directions import Metered, Observer, Spliced, Watched, Watcher
from firewall.proxy.loop import EDGE, FAILED, HANGUP, READ, WRITE, Loop
from firewall.requests import Direction, Finding

TURNS = 16
"""Pieces that one direction may move before other flows have their turn."""
TURN_SECONDS = 0.005
"""After which it begins no other: what is watched may take a microsecond a byte."""


class Judged(Protocol):
    """Asks whether findings may pass, and calls `resume(True or False)` once, on the loop."""

    def __call__(
        self, direction: Direction, findings: Sequence[Finding], resume: Callable[[bool], None]
    ) -> None: ...


type Watchers = Callable[[Direction], Watcher]
type Guard = Callable[[str], contextlib.AbstractContextManager[None]]


def watch(direction: Direction) -> Watcher:
    return Watch("tcp stream", direction)


class Relay:
    """Relays until both directions have ended or either socket fails, then calls `closed`.

    Both sockets must be non-blocking, watched by the loop for READ | EDGE at least, and become the
    relay's own. With `judge` the stream is watched, by what `watchers` makes; without it nobody
    reads it, and `observer` is told of it. `meter` says how many bytes may move; what would be too
    many ends both sides with a reset. `closed` gets the bytes sent (to upstream) and received.
    `guard` makes the context in which bytes are moved: whatever fails there must end in `abort`.
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
        """Take the sockets over, and move what has come already."""
        self._loop.take_over(self._client.fileno(), self._client_ready)
        self._loop.take_over(self._upstream.fileno(), self._upstream_ready)
        self._pump()

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
        held = bool(events & WRITE) and self._received.held
        self._pump(
            sent=bool(events & ~WRITE),
            received=held or bool(events & FAILED),
            whole=held or bool(events & HANGUP),
        )

    def _upstream_ready(self, events: int) -> None:
        held = bool(events & WRITE) and self._sent.held
        self._pump(
            sent=held or bool(events & FAILED),
            received=bool(events & ~WRITE),
            whole=held or bool(events & HANGUP),
        )

    def _pump(self, *, sent: bool = True, received: bool = True, whole: bool = True) -> None:
        """Move what may have become ready: an attempt for nothing costs system calls.

        Without `whole` a direction that has been drained is not tried again: the event said of no
        end, and whatever comes later makes another (epoll(7), on edges and partial reads).
        """
        if not (sent or received):
            return
        with self._guard("flow.relay"):
            door.probe("flow.relay")
            self._move_all(sent=sent, received=received, whole=whole)

    def _move_all(self, *, sent: bool, received: bool, whole: bool) -> None:
        if self._client.fileno() < 0:
            return
        try:
            for each in list(self._open):
                wanted = sent if each[0] is self._sent else received
                if wanted and not self._move(*each, whole=whole):
                    self._open.remove(each)
        except OSError:
            self.abort()
            return
        if not self._open:
            self._close()

    def _move(self, direction: Spliced | Watched, target: socket.socket, *, whole: bool) -> bool:
        """Move what can be moved; False when this direction has ended."""
        until = time.monotonic() + TURN_SECONDS
        try:
            for _ in range(TURNS):
                if not direction.move():
                    if len(self._open) > 1:  # else both are about to be closed, which says it too
                        target.shutdown(socket.SHUT_WR)
                    return False
                if direction.drained and not whole:
                    return True
                if time.monotonic() >= until:
                    break
        except BlockingIOError:
            if direction.held:
                self._loop.change(target.fileno(), READ | WRITE | EDGE)
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


def keep_alive(end: socket.socket) -> None:
    """No waiting for more bytes to send, and dead peers are found within minutes. What a listener
    accepts has it from the listener."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def reset_on_close(end: socket.socket) -> None:
    """Make close() send a reset instead of a proper end."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
