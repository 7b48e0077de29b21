"""Keys of known formats in a stream, however it is cut up, and inside files of gzip in it."""

import zlib
from collections.abc import Iterator

from firewall.keyformats import SPAN
from firewall.protocols.leaks import Finder, Leak

KEEP = 4 * SPAN
"""Bytes that are kept for what follows: the longest key, percent-encoded."""
TOLD = 16
"""Keys of one stream that are told, so that no peer can flood the log."""
MEMBERS = 8
"""Files of gzip in one stream that are looked into."""
UNPACKED = 4 << 20
"""Bytes that one of them unpacks to at most; what would follow is not looked at."""

_MAGIC = b"\x1f\x8b\x08"
"""RFC 1952, 2.3.1: the two bytes that begin a member, and the only method there is."""
_PIECE = 64 << 10


class Leaks:
    """Follows one direction of a stream. Each key is told once."""

    def __init__(self, finder: Finder) -> None:
        self._search = _Search(finder)
        self._members: list[_Member] = []
        self._begun = 0
        self._finder = finder
        self._tail = b""
        self._told: set[tuple[str, bytes]] = set()

    def feed(self, data: bytes) -> list[Leak]:
        """The keys that these bytes complete."""
        if not self._finder or not data:
            return []
        return [each for each in self._found(data) if self._is_new(each)]

    def _found(self, data: bytes) -> Iterator[Leak]:
        yield from self._search.feed(data)
        for member in self._members:
            yield from member.feed(data)
        for start in self._beginnings(data):
            member = _Member(self._finder)
            self._members.append(member)
            yield from member.feed(start)
        self._members = [each for each in self._members if each.open]

    def _beginnings(self, data: bytes) -> Iterator[bytes]:
        """What follows each magic number that these bytes complete."""
        text = self._tail + data
        self._tail = text[1 - len(_MAGIC) :]
        at = text.find(_MAGIC)
        while at >= 0 and self._begun < MEMBERS:
            self._begun += 1
            yield text[at:]
            at = text.find(_MAGIC, at + 1)

    def _is_new(self, leak: Leak) -> bool:
        key = (leak.format.name, leak.secret)
        if key in self._told or len(self._told) >= TOLD:
            return False
        self._told.add(key)
        return True


class _Search:
    """Looks at the end of what came before again with what comes."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._tail = b""
        self._base = 0

    def feed(self, data: bytes) -> list[Leak]:
        text = self._tail + data
        found = self._finder.find(text, first=not self._base)
        base, self._tail = self._base, text[-KEEP:]
        self._base += len(text) - len(self._tail)
        return [
            Leak(each.format, each.secret, base + each.at if each.at >= 0 else -1, each.coding)
            for each in found
        ]


class _Member:
    """Looks into one member of gzip, which may as well be chance."""

    def __init__(self, finder: Finder) -> None:
        self._search = _Search(finder)
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._left = UNPACKED

    @property
    def open(self) -> bool:
        return self._left > 0 and not self._zlib.eof

    def feed(self, data: bytes) -> Iterator[Leak]:
        while data and self.open:
            try:
                piece = self._zlib.decompress(data, min(_PIECE, self._left))
            except zlib.error:
                self._left = 0
                return
            self._left -= len(piece)
            data = self._zlib.unconsumed_tail
            for each in self._search.feed(piece):
                yield Leak(each.format, each.secret, -1, "gzip")
