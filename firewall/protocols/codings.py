"""HTTP's content codings (RFC 9110, 8.4.1), decoded in pieces of bounded size."""

import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

PIECE = 64 << 10
"""Bytes decoded at a time."""
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

    def copy(self) -> "Inflate":
        """Another that goes on from the same place."""
        copy = Inflate(self._window_bits)
        copy._zlib = self._zlib.copy()
        return copy

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
        full = True
        # It says that it can accept more while it still holds output of what it was given.
        while full and not self._brotli.is_finished():
            piece = self._brotli.process(data, output_buffer_limit=PIECE)
            full = len(piece) >= PIECE or not self._brotli.can_accept_more_data()
            data = b""
            yield piece


class Zstandard:
    """RFC 8878."""

    def __init__(self) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._zstd = decompressor.decompressobj(read_across_frames=True)

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), ZSTD_SLICE):
            made = self._zstd.decompress(data[start : start + ZSTD_SLICE])
            yield from (made[at : at + PIECE] for at in range(0, len(made), PIECE))


def decoders(encoding: str) -> list[Decoder]:
    """The decoders for a Content-Encoding header, outermost first; none if one is unknown."""
    if not encoding:
        return []
    names = [each.strip().lower() for each in encoding.split(",")]
    wanted = [each for each in reversed(names) if each not in ("", "identity")]
    if len(wanted) > ENCODINGS_LIMIT:
        return []
    found = [_decoder(each) for each in wanted]
    return [each for each in found if each is not None] if None not in found else []


def readable(name: str) -> bool:
    """Whether what comes in this coding can be read."""
    plain = name.strip().lower()
    return plain == "identity" or _decoder(plain) is not None


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


def chain(coders: list[Decoder], data: bytes) -> Iterator[bytes]:
    first, rest = coders[0], coders[1:]
    for piece in first.feed(data):
        if not rest:
            yield piece
        elif piece:
            yield from chain(rest, piece)
