"""WebSocket frames of a raw stream (RFC 6455 section 5), unmasked and inflated."""

import contextlib
import zlib

from firewall.frozen import frozen
from firewall.protocols.codings import Inflate

_OPCODES = {0, 1, 2, 8, 9, 10}
_CONTROL = 8

MESSAGE_LIMIT = 64 << 10
"""Bytes kept of a compressed message: what is longer holds no message of a miner's."""

FREE = 4 << 20
RATIO = 100
"""A direction may inflate to FREE bytes plus RATIO times its size; then no more is inflated."""


@frozen
class Piece:
    """Part of a message's payload, which bytes `start` to `end` (exclusive) of the stream carry.

    `last` says that the message ends here. A compressed message comes whole, and stands where it
    ends: how far it could be inflated earlier depends on how it came.
    """

    data: bytes
    last: bool
    start: int
    end: int


_TAIL = b"\0\0\xff\xff"
"""What the sender takes off a compressed message, and the receiver puts back (RFC 7692, 7.2.2)."""


class _Deflated:
    """One direction's compressed messages, whose window outlives them (RFC 7692, 7.1.1)."""

    def __init__(self) -> None:
        self._inflate: Inflate | None = Inflate(-zlib.MAX_WBITS)
        self._message = bytearray()
        self._read = self._made = 0

    def feed(self, data: bytes) -> None:
        """Inflate; a bomb, or what is no deflate, ends it for good."""
        self._read += len(data)
        if self._inflate is None:
            return
        before, kept = self._inflate.copy(), len(self._message)
        try:
            self._take(self._inflate, data)
        except zlib.error:
            self._inflate = None
            del self._message[kept:]
            self._take_until_it_breaks(before, data)

    def _take(self, inflate: Inflate, data: bytes) -> None:
        for piece in inflate.feed(data):
            self._made += len(piece)
            self._message += piece[: MESSAGE_LIMIT - len(self._message)]
            if self._made > FREE + RATIO * self._read:
                self._inflate = None
                return

    def _take_until_it_breaks(self, inflate: Inflate, data: bytes) -> None:
        """What a lenient peer would read of it: zlib itself gives nothing of what breaks off."""
        with contextlib.suppress(zlib.error):
            for at in range(len(data)):
                self._take(inflate, data[at : at + 1])

    def end(self) -> bytes:
        """The message that ends here, as far as it is kept."""
        self.feed(_TAIL)
        message = bytes(self._message)
        self._message.clear()
        return message


class Frames:
    """One direction's frames. Payloads are handed on as they come, so memory stays flat.

    Control frames are skipped. What has the compression bit is inflated (RFC 7692), whether or not
    anybody agreed to it. After a malformed frame, whose header ends at `broken_at`, nothing more is
    read.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = 0
        self._mask = b""
        self._opcode = 0
        self._final = False
        self._compressed = False
        self._deflated = _Deflated()
        self._well_formed = True
        self.broken_at: int | None = None
        self._read = 0

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces of messages in `data`."""
        pieces: list[Piece] = []
        at = 0
        while at < len(data) and self.broken_at is None:
            if not self._left:
                at = self._read_header(data, at, pieces)
                continue
            payload = data[at : at + self._left]
            self._left -= len(payload)
            self._emit(self._unmask(payload), pieces, at)
            at += len(payload)
        self._read += len(data)
        return pieces

    def _read_header(self, data: bytes, at: int, pieces: list[Piece]) -> int:
        self._header.append(data[at])
        if len(self._header) >= 2 and len(self._header) == self._header_length():
            self._start()
            if not self._well_formed:
                self.broken_at = self._read + at + 1
            elif not self._left:
                self._emit(b"", pieces, at + 1)
        return at + 1

    def _header_length(self) -> int:
        size = {126: 2, 127: 8}.get(self._header[1] & 0x7F, 0)
        return 2 + size + (4 if self._header[1] & 0x80 else 0)

    def _start(self) -> None:
        first, second = self._header[:2]
        masked, short = bool(second & 0x80), second & 0x7F
        length = bytes(self._header[2:-4] if masked else self._header[2:])
        self._left = int.from_bytes(length) if short >= 126 else short
        self._mask = bytes(self._header[-4:]) if masked else b""
        self._opcode, self._final = first & 0x0F, bool(first & 0x80)
        self._well_formed = self._opcode in _OPCODES and not first & 0x30
        if self._opcode in (1, 2):
            self._compressed = bool(first & 0x40)
        self._header.clear()

    def _unmask(self, payload: bytes) -> bytes:
        if not self._mask:
            return payload
        size = len(payload)
        key = (self._mask * (size // 4 + 1))[:size]
        self._mask = self._mask[size % 4 :] + self._mask[: size % 4]
        return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)

    def _emit(self, data: bytes, pieces: list[Piece], at: int) -> None:
        if self._opcode >= _CONTROL:
            return
        last = self._final and not self._left
        start, end = self._read + at, self._read + at + len(data)
        if not self._compressed:
            pieces.append(Piece(data, last, start, end))
            return
        self._deflated.feed(data)
        if last:
            pieces.append(Piece(self._deflated.end(), last, end, end))
