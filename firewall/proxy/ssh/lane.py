"""One direction of a channel: in order, read by whoever must, at the pace of the slower side."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

HELD_LIMIT = 1 << 20
"""Bytes that may wait in one direction before no more are read."""

type Inspect = Callable[[bytes, int | None], Awaitable[bytes]]
"""What of these bytes of the stream, or of an extended data type (RFC 4254 section 5.2: 1 is
stderr), is to be passed on; raises BlockedError to end the channel."""

type Piece = tuple[bytes, int | None]


class Channel(Protocol):
    """What a lane needs of an asyncssh channel."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def write(self, data: bytes, datatype: int | None = None) -> None: ...
    def write_eof(self) -> None: ...


class Lane:
    """Carries what `put` gets to the target, until `end` is called and all is carried."""

    def __init__(self, inspect: Inspect) -> None:
        self._inspect = inspect
        self._queue: asyncio.Queue[Piece | None] = asyncio.Queue()
        self._held = 0
        self._source: Channel | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False
        self.moved = 0

    def attach(self, source: Channel) -> None:
        """Name the channel whose reading is paused while too much waits."""
        self._source = source

    def put(self, data: bytes, datatype: int | None = None) -> None:
        self._queue.put_nowait((data, datatype))
        self._held += len(data)
        if self._held > HELD_LIMIT and self._source is not None and not self._paused:
            self._paused = True
            self._source.pause_reading()

    def put_eof(self) -> None:
        """The source has no more to say; the channel stays open for the other direction."""
        self._queue.put_nowait((b"", None))

    def end(self) -> None:
        """Nothing more comes: `run` returns once what waits is carried."""
        self._queue.put_nowait(None)

    def pause(self) -> None:
        """The target takes no more for now."""
        self._writable.clear()

    def resume(self) -> None:
        self._writable.set()

    async def run(self, target: Channel) -> None:
        """Carry until the end. Raises BlockedError where a piece may not pass."""
        while (piece := await self._queue.get()) is not None:
            data, datatype = piece
            self._took(len(data))
            if not data:
                target.write_eof()
                continue
            passed = await self._inspect(data, datatype)
            self.moved += len(data)
            if passed:
                target.write(passed, datatype)
            await self._writable.wait()

    def _took(self, size: int) -> None:
        self._held -= size
        if self._paused and self._held <= HELD_LIMIT // 2 and self._source is not None:
            self._paused = False
            self._source.resume_reading()
