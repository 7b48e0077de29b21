"""Files of gzip in a stream are unpacked, within bounds, however the stream is cut up."""

import gzip
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import packed
from firewall.protocols.packed import Packed


def unpacked(data: bytes, size: int = 1 << 30) -> list[bytes]:
    """The files in the data, fed in pieces of this size."""
    found: list[list[bytes]] = []

    def make() -> Callable[[bytes], tuple[int, ...]]:
        pieces: list[bytes] = []
        found.append(pieces)

        def look(piece: bytes) -> tuple[int, ...]:
            pieces.append(piece)
            return (len(piece),)

        return look

    watch = Packed(make)
    told = [each for at in range(0, len(data), size) for each in watch.feed(data[at : at + size])]
    assert sum(told) == sum(len(piece) for pieces in found for piece in pieces)
    return [b"".join(pieces) for pieces in found]


def test_files_are_unpacked_wherever_they_stand() -> None:
    data = b"--part\r\n\r\n" + gzip.compress(b"one") + b"\r\n" + gzip.compress(b"two") * 2
    assert unpacked(data) == unpacked(data, 1) == [b"one", b"two", b"two"]


def test_of_one_file_and_of_one_stream_only_so_much_is_unpacked() -> None:
    (found,) = unpacked(gzip.compress(bytes(packed.UNPACKED + 999)))
    assert len(found) == packed.UNPACKED
    several = unpacked(gzip.compress(bytes(packed.UNPACKED // 2 + 1)) * 3)
    assert sum(map(len, several)) == packed.UNPACKED
    assert len(unpacked(gzip.compress(b"x") * 20)) == packed.MEMBERS


PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\x1f\x8b\x08", b"\x1f", gzip.compress(b"x" * 99), gzip.compress(b"")]),
)


@given(st.lists(PIECES, max_size=8), st.integers(1, 60))
def test_cuts_change_nothing(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    assert unpacked(data, size) == unpacked(data)
