"""gRPC: streams wrapped in messages of one bytes field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import Watch
from firewall.protocols.grpc import Pieces
from tests.unit.protocols.samples import LOGIN, client_hello


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def wrap(data: bytes, *, tag: int = 0x0A, flag: int = 0) -> bytes:
    field = bytes([tag]) + varint(len(data)) + data
    return bytes([flag]) + len(field).to_bytes(4) + field


def join(data: bytes, size: int) -> bytes:
    pieces = Pieces()
    return b"".join(
        piece for at in range(0, len(data), size) for piece in pieces.feed(data[at : at + size])
    )


@given(st.lists(st.binary(max_size=300)), st.integers(1, 50))
def test_joins(payloads: list[bytes], size: int) -> None:
    assert join(b"".join(map(wrap, payloads)), size) == b"".join(payloads)


SKIPPED = [
    wrap(b"abc", flag=1),  # compressed
    wrap(b"abc", tag=0x08),  # a number
    b"\0\0\0\0\0",
    b"\0\0\0\0\x08\x0a\x03abc\x12\x01x",  # two fields
    b"\0\0\0\0\x08\x0a" + b"\xff" * 7,
]


@pytest.mark.parametrize("message", SKIPPED)
def test_other_messages_are_skipped(message: bytes) -> None:
    for size in (1, 99):
        assert join(message + wrap(b"next"), size) == b"next"


@given(st.binary(max_size=200), st.integers(1, 20))
def test_whole_equals_pieces(data: bytes, size: int) -> None:
    assert join(data, size) == join(data, 999)


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        (client_hello(), "tls-in-grpc"),
        (b"SSH-2.0-x\r\n", "ssh"),
        (LOGIN.replace(b'"pass"', b'"agent":"a","pass"'), "monero-stratum"),
        (b"\0\1\0\1\0\0\0\1\0\4\0\0", "yamux"),
    ],
)
def test_what_is_inside_is_found(inside: bytes, name: str) -> None:
    pieces, watch = Pieces(), Watch("grpc", "sent")
    data = wrap(inside[:5]) + wrap(inside[5:])
    found = [each for piece in pieces.feed(data) for each in watch.feed(piece)]
    assert [each.name for each in found] == [name]
