"""What a message carries, packed where it is large; over a network in tests/e2e."""

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from firewall.audit.ship.stream import LARGE, pack, unpack

ZSTD = {"Content-Encoding": "zstd"}


def test_what_is_large_is_packed() -> None:
    for size, headers in ((LARGE, {}), (LARGE + 1, ZSTD)):
        payload, told = pack(b"x" * size)
        assert told == headers
        assert unpack(payload, told, 2 * LARGE) == b"x" * size


def test_no_more_is_unpacked_than_asked_for() -> None:
    bomb = zstandard.compress(bytes(64 << 20))
    assert len(bomb) < 10_000
    assert unpack(bomb, ZSTD, 100) == bytes(100)


@given(st.binary(max_size=200), st.sampled_from([None, {}, ZSTD, {"Content-Encoding": "br"}]))
def test_any_message_is_unpacked_or_nothing(payload: bytes, headers: dict[str, str] | None) -> None:
    found = unpack(payload, headers, 1000)
    assert found == payload if headers != ZSTD else len(found) <= 1000


@given(st.integers(0, 40), st.binary(max_size=4))
def test_damaged_zstd_raises_nothing(position: int, filler: bytes) -> None:
    packed = zstandard.compress(b"a line of a log\n" * 20)
    damaged = packed[:position] + filler + packed[position + 1 :]
    assert len(unpack(damaged, ZSTD, 1000)) <= 1000
