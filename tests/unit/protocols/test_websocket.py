"""WebSocket frames, cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.websocket import Frames
from tests.unit.protocols.samples import frame


def messages(frames: Frames, data: bytes, size: int) -> list[bytes]:
    """The whole messages in `data`, fed in pieces."""
    done, current = [], b""
    for at in range(0, len(data), size):
        for piece in frames.feed(data[at : at + size]):
            current += piece.data
            if piece.last:
                done.append(current)
                current = b""
    return done


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.sampled_from([b"", b"\1\2\3\4", b"abcd"]))),
    st.integers(1, 50),
)
def test_reads_messages(payloads: list[tuple[bytes, bytes]], size: int) -> None:
    data = b"".join(frame(payload, mask=mask) for payload, mask in payloads)
    assert messages(Frames(), data, size) == [payload for payload, _ in payloads]


def test_joins_fragments_around_control_frames() -> None:
    data = frame(b"one ", first=0x01) + frame(b"ping", first=0x89) + frame(b"two", first=0x80)
    assert messages(Frames(), data, 3) == [b"one two"]


def test_skips_compressed_messages_to_their_end() -> None:
    data = frame(b"zip", first=0x41) + frame(b"zip", first=0x80) + frame(b"plain")
    assert messages(Frames(), data, 5) == [b"plain"]


def test_long_lengths() -> None:
    data = b"\x82\x7f" + (70_000).to_bytes(8) + b"x" * 70_000 + frame(b"next")
    assert messages(Frames(), data, 4096) == [b"x" * 70_000, b"next"]


@pytest.mark.parametrize("first", [0x83, 0x8B, 0xA1, 0x91])
def test_stops_at_malformed_frames(first: int) -> None:
    assert messages(Frames(), frame(b"a", first=first) + frame(b"b"), 100) == []


@given(st.binary(max_size=200))
def test_raises_on_nothing(data: bytes) -> None:
    assert messages(Frames(), data, 7) == messages(Frames(), data, 200)
