"""Files of gzip (RFC 1952) that stand anywhere in a stream, unpacked to be looked at."""

import zlib
from collections.abc import Callable, Iterator

MEMBERS = 8
"""Files of one stream that are looked into."""
UNPACKED = 4 << 20
"""Bytes that they unpack to together at most; what would follow is not looked at. As many for each
would let one small request hold up all others."""

_MAGIC = b"\x1f\x8b\x08"
"""RFC 1952, 2.3.1: the two bytes that begin a member, and the only method there is."""
_PIECE = 64 << 10


class Packed[T]:
    """Follows a stream. `make` makes what is fed the bytes of one file and says what is in them."""

    def __init__(self, make: Callable[[], Callable[[bytes], tuple[T, ...]]]) -> None:
        self._make = make
        self._open: list[_Member[T]] = []
        self._begun = 0
        self._left = UNPACKED
        self._tail = b""

    def feed(self, data: bytes) -> tuple[T, ...]:
        """What these bytes complete."""
        found = [each for member in self._open for each in self._unpacked(member, data)]
        for start in self._beginnings(data):
            member = _Member(self._make())
            self._open.append(member)
            found += self._unpacked(member, start)
        self._open = [each for each in self._open if each.open and self._left]
        return tuple(found)

    def _unpacked(self, member: "_Member[T]", data: bytes) -> Iterator[T]:
        while data and member.open and self._left:
            piece, data = member.unpack(data, min(_PIECE, self._left))
            self._left -= len(piece)
            yield from member.look(piece)

    def _beginnings(self, data: bytes) -> Iterator[bytes]:
        """What follows each magic number that these bytes complete."""
        if self._begun >= MEMBERS:
            return
        text = self._tail + data
        self._tail = text[1 - len(_MAGIC) :]
        at = text.find(_MAGIC)
        while at >= 0 and self._begun < MEMBERS:
            self._begun += 1
            yield text[at:]
            at = text.find(_MAGIC, at + 1)


class _Member[T]:
    """One file, which may as well be chance."""

    def __init__(self, look: Callable[[bytes], tuple[T, ...]]) -> None:
        self.look = look
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._broken = False

    @property
    def open(self) -> bool:
        return not (self._broken or self._zlib.eof)

    def unpack(self, data: bytes, most: int) -> tuple[bytes, bytes]:
        """What data means, `most` bytes at most, and what is left of it."""
        try:
            return self._zlib.decompress(data, most), self._zlib.unconsumed_tail
        except zlib.error:
            self._broken = True
            return b"", b""
