"""Content codings decode to all that they hold, in pieces of bounded size."""

import functools
import gzip
import random
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from firewall.protocols.codings import PIECE, chain, decoders

CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": functools.partial(brotli.compress, quality=1),
    "zstd": zstandard.ZstdCompressor().compress,
    "br, gzip": lambda data: gzip.compress(brotli.compress(data, quality=1)),
}
WORDS = random.Random(1).randbytes(300_000).hex().encode()
PLAIN = {"nothing": b"", "little": b"a", "spaces": b" " * (3 << 20) + b"end", "words": WORDS}


@pytest.mark.parametrize("plain", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("encoding", CODERS)
@pytest.mark.parametrize("cut", [1 << 20, 997])
def test_all_that_is_held_comes_out_in_small_pieces(encoding: str, plain: bytes, cut: int) -> None:
    packed = CODERS[encoding](plain)
    coders = decoders(encoding)
    pieces: list[bytes] = []
    for start in range(0, len(packed), cut):
        pieces.extend(chain(coders, packed[start : start + cut]))
    assert b"".join(pieces) == plain
    assert max(map(len, pieces), default=0) <= 2 * PIECE
