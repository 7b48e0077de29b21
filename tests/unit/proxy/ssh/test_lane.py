"""A lane: in order, at the pace of the slower side, and never holding more than a bound."""

import asyncio

import pytest

from firewall.proxy.ssh.lane import HELD_LIMIT, Lane
from firewall.proxy.ssh.visit import UNJUDGED, BlockedError


class Channel:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.reading = True
        self.written: list[tuple[bytes, int | None]] = []
        self.ended = False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes, datatype: int | None = None) -> None:
        self.written.append((data, datatype))

    def write_eof(self) -> None:
        self.ended = True


async def _as_it_is(data: bytes, datatype: int | None) -> bytes:
    return data


def test_what_is_put_is_carried_in_order_with_its_end() -> None:
    async def act() -> None:
        lane, target = Lane(_as_it_is), Channel()
        lane.put(b"out")
        lane.put(b"error", 1)
        lane.put_eof()
        lane.end()
        await lane.run(target)
        assert target.written == [(b"out", None), (b"error", 1)]
        assert target.ended
        assert lane.moved == 8

    asyncio.run(act())


def test_a_slow_target_pauses_the_source_until_it_reads_again() -> None:
    async def act() -> None:
        lane, source, target = Lane(_as_it_is), Channel(), Channel()
        lane.attach(source)
        lane.pause()
        running = asyncio.ensure_future(lane.run(target))
        for _ in range(3):
            lane.put(bytes(HELD_LIMIT // 2))
            await asyncio.sleep(0)
        assert len(target.written) == 1
        lane.put(bytes(HELD_LIMIT // 2))
        assert not source.reading
        lane.resume()
        lane.end()
        await running
        assert source.reading
        assert lane.moved == 4 * (HELD_LIMIT // 2)

    asyncio.run(act())


def test_what_may_not_pass_ends_it_before_a_byte_of_it() -> None:
    async def block(data: bytes, datatype: int | None) -> bytes:
        if b"bad" in data:
            raise BlockedError(UNJUDGED)
        return data

    async def act() -> None:
        lane, target = Lane(block), Channel()
        for piece in (b"good", b"bad", b"after"):
            lane.put(piece)
        with pytest.raises(BlockedError):
            await lane.run(target)
        assert target.written == [(b"good", None)]

    asyncio.run(act())


def test_words_of_a_servers_error_stream_are_looked_at_too() -> None:
    seen: list[tuple[bytes, int | None]] = []

    async def look(data: bytes, datatype: int | None) -> bytes:
        seen.append((data, datatype))
        return data

    async def act() -> None:
        lane = Lane(look)
        lane.put(b"hidden here", 1)
        lane.end()
        await lane.run(Channel())

    asyncio.run(act())
    assert seen == [(b"hidden here", 1)]
