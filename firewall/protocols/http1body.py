"""Bodies of HTTP/1 messages, cut out of the stream as RFC 9112 section 6 frames them.

Read strictly: what two parsers could read differently is an error. Extensions of chunks and
trailers are dropped, as sections 7.1.1 and 7.1.2 allow.
"""

import re

from firewall.protocols.http1 import FIELD
from firewall.protocols.identity import ProtocolError

LINE_LIMIT = 4 << 10
"""Bytes of the line before a chunk, or of a trailer."""
EXTRA_LIMIT = 32 << 10
"""Bytes of all extensions and trailers of one body: they carry nothing that is passed on."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[\t -~\x80-\xff]*)?")
_END = b"\r\n"


class Counted:
    """A body of so many bytes; of none where a message has no body."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.rest = b""

    @property
    def finished(self) -> bool:
        """Whether the body is complete; what followed it is in `rest` then."""
        return self._left == 0

    def feed(self, data: bytes) -> bytes:
        """What of the data is content."""
        taken = data[: self._left] if len(data) > self._left else data
        self._left -= len(taken)
        self.rest = data[len(taken) :]
        return taken

    def end(self) -> None:
        """The stream has ended; raises ProtocolError where that cuts the body off."""
        if self._left:
            raise ProtocolError(f"the body ends {self._left} bytes too early")


class Chunked:
    """A body in chunks (section 7.1)."""

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        self._after_chunk = False
        self._trailers = False
        self._extra = 0
        self.finished = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """What of the data is content; raises ProtocolError for chunks that are not sound."""
        held = self._held + data if self._held else data
        at: int | None = 0
        pieces: list[bytes] = []
        end = 0
        while not self.finished and (at := self._step(held, end, pieces)) is not None:
            end = at
        self._held = b"" if self.finished else held[end:]
        self.rest = held[end:] if self.finished else b""
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> None:
        """The stream has ended; raises ProtocolError where that cuts the body off."""
        if not self.finished:
            raise ProtocolError("the body ends before its last chunk")

    def _step(self, held: bytes, at: int, pieces: list[bytes]) -> int | None:
        """Read one part at `at`; where the next begins, or None where more is needed."""
        if self._left:
            return self._content(held, at, pieces)
        if self._after_chunk:
            return self._chunk_end(held, at)
        line = _line(held, at)
        if line is None:
            return None
        (self._trailer if self._trailers else self._size)(line)
        return at + len(line) + 2

    def _content(self, held: bytes, at: int, pieces: list[bytes]) -> int | None:
        piece = held[at : at + self._left]
        if not piece:
            return None
        pieces.append(piece)
        self._left -= len(piece)
        self._after_chunk = not self._left
        return at + len(piece)

    def _chunk_end(self, held: bytes, at: int) -> int | None:
        found = held[at : at + 2]
        if not _END.startswith(found):
            raise ProtocolError("a chunk is longer than its size says")
        if found != _END:
            return None
        self._after_chunk = False
        return at + 2

    def _size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise ProtocolError("malformed chunk size; write a hexadecimal number")
        self._left = int(found[1], 16)
        self._trailers = not self._left
        self._count(len(found[2] or b""))

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.finished = True
        elif FIELD.fullmatch(line) is None:
            raise ProtocolError("malformed trailer; write name: value")
        self._count(len(line))

    def _count(self, extra: int) -> None:
        self._extra += extra
        if self._extra > EXTRA_LIMIT:
            raise ProtocolError(f"chunk extensions and trailers are longer than {EXTRA_LIMIT}")


class Open:
    """A response's body that ends with the stream (section 6.3, rule 8)."""

    finished = False
    rest = b""

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data

    def end(self) -> None:
        """That is how it ends."""
        self.finished = True


type Body = Counted | Chunked | Open


def _line(held: bytes, at: int) -> bytes | None:
    """The line at `at` without its end, which must be CR LF; None while it goes on."""
    end = held.find(b"\n", at, at + LINE_LIMIT)
    if end < 0:
        if len(held) - at >= LINE_LIMIT:
            raise ProtocolError(f"a line between chunks is longer than {LINE_LIMIT} bytes")
        return None
    if end == at or held[end - 1 : end] != b"\r" or b"\r" in held[at : end - 1]:
        raise ProtocolError("a line between chunks does not end with CR LF")
    return held[at : end - 1]
