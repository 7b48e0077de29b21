"""WebSocket frames, cut anywhere."""

import base64
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firewall.protocols.websocket import MESSAGE_LIMIT, Frames
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


def deflated(*payloads: bytes) -> list[bytes]:
    """As a sender that keeps its window from message to message compresses them."""
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    whole = [coder.compress(each) + coder.flush(zlib.Z_SYNC_FLUSH) for each in payloads]
    return [each.removesuffix(b"\0\0\xff\xff") for each in whole]


@pytest.mark.parametrize("size", [1 << 20, 5, 1])
def test_inflates_messages_that_share_a_window(size: int) -> None:
    first, second = deflated(b"once more, once more", b"once more, and in frames")
    data = frame(first, first=0xC1) + frame(b"plain")
    data += frame(second[:4], first=0x41) + frame(b"", first=0x89) + frame(second[4:], first=0x80)
    expected = [b"once more, once more", b"plain", b"once more, and in frames"]
    assert messages(Frames(), data, size) == expected


def test_a_message_that_is_closed_by_its_coder_does_not_end_the_stream() -> None:
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    final = coder.compress(b"one") + coder.flush() + b"\0"
    (second,) = deflated(b"two")
    data = frame(final, first=0xC1) + frame(second, first=0xC1)
    assert messages(Frames(), data, 3) == [b"one", b"two"]


def test_what_is_no_deflate_is_passed_over_to_its_end() -> None:
    data = frame(b"\xff\xff", first=0x41) + frame(b"zip", first=0x80) + frame(b"plain")
    assert messages(Frames(), data, 5) == [b"", b"plain"]


@pytest.mark.parametrize("size", [1 << 20, 5, 1])
def test_what_breaks_off_is_read_as_far_as_it_goes(size: int) -> None:
    (whole,) = deflated(b"a lenient peer reads this")
    data = frame(whole + b"\xff\xff\xff", first=0xC1)
    assert messages(Frames(), data, size) == [b"a lenient peer reads this"]


@given(st.binary(max_size=80), st.integers(1, 9))
@example(base64.b64decode("AMEjW/+/YhS/v7+/v7+/vxQUFBQUFBQUFBQUFBQUFBQUFP//DgAAAEI="), 1)
def test_how_bytes_come_does_not_change_what_is_read(data: bytes, size: int) -> None:
    whole = messages(Frames(), data, len(data) + 1)
    assert messages(Frames(), data, size) == whole
    assert messages(Frames(), frame(data, first=0xC1), size) == messages(
        Frames(), frame(data, first=0xC1), 1 << 20
    )


def test_of_a_bomb_little_is_kept_and_little_is_made() -> None:
    bomb, after = deflated(bytes(50 << 20), b"after")
    data = b"\xc2\x7f" + len(bomb).to_bytes(8) + bomb + frame(after, first=0xC1)
    assert messages(Frames(), data, 4096) == [bytes(MESSAGE_LIMIT), b""]


def test_long_lengths() -> None:
    data = b"\x82\x7f" + (70_000).to_bytes(8) + b"x" * 70_000 + frame(b"next")
    assert messages(Frames(), data, 4096) == [b"x" * 70_000, b"next"]


@pytest.mark.parametrize("first", [0x83, 0x8B, 0xA1, 0x91])
def test_stops_at_malformed_frames(first: int) -> None:
    assert messages(Frames(), frame(b"a", first=first) + frame(b"b"), 100) == []


@given(st.binary(max_size=200))
def test_raises_on_nothing(data: bytes) -> None:
    assert messages(Frames(), data, 7) == messages(Frames(), data, 200)
