"""One direction of a relay: bytes from one socket to the other, in pieces.

Either nobody reads them, and the kernel moves what is much, or they are watched, which passes each
piece by the recognisers before it goes on.
"""

import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from firewall.proxy.pipes import PIPE_SIZE, Pipe, Pipes
from firewall.requests import Direction, Finding
from firewall.verdict import Verdict

WATCH_SIZE = 1 << 16
LITTLE = 1 << 14
"""Bytes up to which to copy a piece takes fewer system calls, and no more time, than to splice."""

_PIPES = Pipes()
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_NOTHING = memoryview(b"")
"""Instead of an empty slice, which keeps all of what it is one of."""


class Watcher(Protocol):
    """Reads one direction and says what it found in it (protocols.Watch)."""

    def feed(self, data: bytes) -> tuple[Finding, ...]: ...


class Observer(Protocol):
    """Is told of what nobody reads, in each direction."""

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


class Spliced:
    """One direction that nobody reads: copied while little comes, and moved inside the kernel while
    much does. It has a pipe only while bytes are in it."""

    __slots__ = (
        "_copied", "_direction", "_meter", "_much", "_observer", "_pipe", "_piped", "_source",
        "_target", "drained", "moved",
    )  # fmt: skip

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        direction: Direction,
        observer: Observer | None,
        meter: Metered | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._direction: Direction = direction
        self._observer = observer
        self._meter = meter
        self._copied = _NOTHING
        self._pipe: Pipe | None = None
        self._piped = 0
        self._much = False
        self.moved = 0
        self.drained = False
        """Whether the last piece was all there was."""

    def move(self) -> bool:
        """Move one piece. False at the end of the stream; BlockingIOError when it must wait."""
        if not (self._copied or self._piped or self._fill()):
            return False
        self._drain()
        return True

    @property
    def held(self) -> bool:
        """Whether bytes wait for the target to take them."""
        return bool(self._copied or self._piped)

    def close(self) -> None:
        self._copied = _NOTHING
        if self._pipe:
            _PIPES.give_back(self._pipe, self._piped)
            self._pipe = None

    def _fill(self) -> bool:
        observer = self._observer
        looks = observer is not None and observer.looks(self._direction)
        much = self._much and not looks
        room = PIPE_SIZE if much else LITTLE
        if self._meter is not None:
            room = _bounded(self._meter, self._direction, room)
        count = self._splice(room) if much else self._copy(room)
        self._much, self.drained = count >= LITTLE, not much and count < room
        if self._meter is not None:
            _spend(self._meter, self._direction, count)
        if observer is not None and count:
            if looks:
                observer.saw(self._direction, bytes(self._copied))
            observer.moved(self._direction, count)
        return count > 0

    def _copy(self, room: int) -> int:
        self._copied = memoryview(self._source.recv(room))
        return len(self._copied)

    def _splice(self, room: int) -> int:
        if self._pipe is None:
            self._pipe = _PIPES.take()
        try:
            self._piped = os.splice(self._source.fileno(), self._pipe[1], room, flags=_FLAGS)
        except BlockingIOError:
            self.close()
            raise
        return self._piped

    def _drain(self) -> None:
        while self._copied:
            count = self._target.send(self._copied)
            self._copied = self._copied[count:] or _NOTHING
            self.moved += count
        while self._piped:
            assert self._pipe is not None
            count = os.splice(self._pipe[0], self._target.fileno(), self._piped, flags=_FLAGS)
            self._piped -= count
            self.moved += count


class Watched:
    """One direction read by the recognisers. A piece with a finding waits until it is judged."""

    __slots__ = (
        "_direction", "_judge", "_kept", "_meter", "_source", "_target", "_waiting", "_wake",
        "_watch", "drained", "moved",
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
        self._kept = _NOTHING
        self._waiting = False
        self.moved = 0
        self.drained = False

    def move(self) -> bool:
        if self._waiting:
            raise BlockingIOError
        if not self._kept and not self._fill():
            return False
        self._drain()
        return True

    @property
    def held(self) -> bool:
        """Whether bytes wait for the target to take them, and not for a verdict."""
        return bool(self._kept) and not self._waiting

    def close(self) -> None:
        self._kept = _NOTHING

    def _fill(self) -> bool:
        meter, size = self._meter, WATCH_SIZE
        if meter is not None:
            size = _bounded(meter, self._direction, size)
        data = self._source.recv(size)
        self.drained = len(data) < size
        if meter is not None:
            _spend(meter, self._direction, len(data))
        # Kept only once it was read: what a recogniser failed on must never be sent.
        findings = self._watch.feed(data)
        self._kept = memoryview(data)
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
        while self._kept:
            count = self._target.send(self._kept)
            self._kept = self._kept[count:] or _NOTHING
            self.moved += count


def _bounded(meter: Metered, direction: Direction, size: int) -> int:
    """How much is read: a byte where nothing is left, to see whether there is more than that."""
    return max(1, min(size, meter.left(direction)))


def _spend(meter: Metered, direction: Direction, size: int) -> None:
    """Count what was read. Raises ConnectionAbortedError where it may not be passed on."""

    def settled(denied: Verdict | None) -> None:
        if denied is not None:
            raise ConnectionAbortedError(denied.reason)

    meter.spend(direction, size, settled)
