"""HTTP bodies as the recognisers see them: as sent, and decoded where they are compressed.

Decoding is for looking only and changes no byte of what is forwarded. It works in pieces and within
a budget, so that a small body cannot cost much memory or time (a "zip bomb").
"""

import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

from firewall.protocols import Watch
from firewall.protocols.grpc import Pieces
from firewall.requests import Direction, Finding

CARRIER = "http body"
GRPC = "application/grpc"
"""gRPC's PROTOCOL-HTTP2.md: followed by a format, if at all."""
PIECE = 64 << 10
"""Bytes decoded at a time."""
FREE = 16 << 20
RATIO = 100
"""A body may decode to FREE bytes plus RATIO times its size; honest text stays below 20 times."""
ENCODINGS_LIMIT = 3
"""Encodings on top of each other; more are watched as sent."""
ZSTD_SLICE = 64
"""Zstandard cannot limit its output, but a block of at least 4 bytes (RFC 8878, 3.1.1.2) decodes
to 128 KiB at most: so few bytes at a time stay below 2 MiB."""
ZSTD_WINDOW = 8 << 20
"""RFC 9659: the window that HTTP's zstd may need."""


class Decoder(Protocol):
    """One content coding (RFC 9110, 8.4.1). Raises DECODE_ERRORS for what is not that coding."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...


DECODE_ERRORS = (zlib.error, brotli.error, zstandard.ZstdError)


class Inflate:
    """gzip (RFC 1952, several members allowed) and zlib (RFC 1950)."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._zlib = zlib.decompressobj(window_bits)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._zlib.decompress(data, PIECE)
            yield piece
            data = self._zlib.unconsumed_tail
            if self._zlib.eof:
                data = self._zlib.unused_data
                self._zlib = zlib.decompressobj(self._window_bits)
            if not data and len(piece) < PIECE:
                return


class Deflate:
    """HTTP's "deflate": zlib by the letter, raw deflate (RFC 1951) by widespread habit."""

    def __init__(self) -> None:
        self._chosen: Inflate | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._chosen is None:
            # RFC 1950, 2.2: the low four bits of a zlib header name the method, always 8.
            self._chosen = Inflate(zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS)
        yield from self._chosen.feed(data)


class Brotli:
    """RFC 7932."""

    def __init__(self) -> None:
        self._brotli = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._brotli.process(data, output_buffer_limit=PIECE)
        while not self._brotli.can_accept_more_data() and not self._brotli.is_finished():
            yield self._brotli.process(b"", output_buffer_limit=PIECE)


class Zstandard:
    """RFC 8878."""

    def __init__(self) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._zstd = decompressor.decompressobj(read_across_frames=True)

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), ZSTD_SLICE):
            yield self._zstd.decompress(data[start : start + ZSTD_SLICE])


def decoders(encoding: str) -> list[Decoder]:
    """The decoders for a Content-Encoding header, outermost first; none if one is unknown."""
    names = [each.strip().lower() for each in encoding.split(",")]
    wanted = [each for each in reversed(names) if each not in ("", "identity")]
    if len(wanted) > ENCODINGS_LIMIT:
        return []
    found = [_decoder(each) for each in wanted]
    return [each for each in found if each is not None] if None not in found else []


def _decoder(name: str) -> Decoder | None:
    match name:
        case "gzip" | "x-gzip":
            return Inflate(zlib.MAX_WBITS | 16)
        case "deflate":
            return Deflate()
        case "br":
            return Brotli()
        case "zstd":
            return Zstandard()
        case _:
            return None


class BodyWatch:
    """Watches one body in one direction for its whole length.

    The bytes are always watched as sent too: a server may ignore what Content-Encoding says.
    """

    def __init__(self, direction: Direction, encoding: str, content_type: str = "") -> None:
        self._direction = direction
        self._raw = Watch(CARRIER, direction)
        self._decoded = Watch(CARRIER, direction)
        self._decoders = decoders(encoding)
        self._pieces = Pieces() if content_type.lower().startswith(GRPC) else None
        self._streamed = Watch("grpc", direction)
        self._read = 0
        self._made = 0

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        """What these bytes gave away."""
        found = self._raw.feed(data)
        for piece in self._pieces.feed(data) if self._pieces else ():
            found += self._streamed.feed(piece)
        if not self._decoders or not data:
            return found
        self._read += len(data)
        try:
            return found + self._decode(data)
        except DECODE_ERRORS:
            self._decoders = []
            return found

    def _decode(self, data: bytes) -> tuple[Finding, ...]:
        found: tuple[Finding, ...] = ()
        for piece in chain(self._decoders, data):
            self._made += len(piece)
            if self._made > FREE + RATIO * self._read:
                self._decoders = []
                return found + self._bomb()
            found += self._decoded.feed(piece)
        return found

    def _bomb(self) -> tuple[Finding, ...]:
        """An agent has no honest use for sending one; a server's sparse file may look like one."""
        if self._direction == "received":
            return ()
        evidence = f"{self._read} bytes decode to more than {self._made}"
        return (Finding("protocol-mismatch", "compression-bomb", evidence, CARRIER),)


def chain(coders: list[Decoder], data: bytes) -> Iterator[bytes]:
    first, rest = coders[0], coders[1:]
    for piece in first.feed(data):
        if not rest:
            yield piece
        elif piece:
            yield from chain(rest, piece)
