"""Bodies are watched as sent and as decoded, within a budget, and nothing they hold can raise."""

import functools
import gzip
import time
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from firewall.credentials import KEYS_ALONE
from firewall.protocols import Watch
from firewall.protocols.codings import decoders
from firewall.proxy.http.watching import FREE, BodyWatch
from firewall.vault import Vault
from tests.unit.protocols.test_grpc import wrap
from tests.unit.proxy.http.stage import LOGIN


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate ": raw_deflate,
    "br": functools.partial(brotli.compress, quality=1),
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
    "": bytes,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "nonsense": bytes,
}


def findings(encoding: str, pieces: list[bytes]) -> list[str]:
    watch = BodyWatch("sent", Vault(), encoding)
    return [found.kind for piece in pieces for found in watch.feed(piece)]


@pytest.mark.parametrize("encoding", CODINGS)
def test_a_message_is_found_whole_and_byte_by_byte(encoding: str) -> None:
    body = CODINGS[encoding](LOGIN)
    assert "mining" in findings(encoding, [body])
    assert "mining" in findings(encoding, [bytes([each]) for each in body])


@pytest.mark.parametrize("encoding", CODINGS)
def test_an_honest_body_gives_nothing_away(encoding: str) -> None:
    text = b'{"messages": [{"role": "user", "content": "explain mining.subscribe"}]}' * 1000
    assert findings(encoding, [CODINGS[encoding](text)]) == []


def test_several_gzip_members_are_one_body() -> None:
    assert "mining" in findings("gzip", [gzip.compress(b"{}\n") + gzip.compress(LOGIN)])


def test_what_is_not_what_it_says_is_watched_as_sent() -> None:
    assert "mining" in findings("gzip", [LOGIN])


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_bomb_is_a_finding_where_it_is_sent(encoding: str) -> None:
    bomb = CODINGS[encoding](bytes(20 * FREE))
    assert findings(encoding, [bomb]) == ["protocol-mismatch"]
    assert BodyWatch("received", Vault(), encoding).feed(bomb) == ()


SHARE = b'{"method":"submit"}'
DEAR = {
    "messages": SHARE + b"\n{}" * FREE,
    "messages that may be a miner's": SHARE * (FREE // 10),
    "a batch of many": (b"[" + SHARE + b",{}" * 20_000 + b"]") * (FREE // 60_000),
    "words of keys": b" ".join([b"glptt-".ljust(80, b".")] * (FREE // 40)),
    "gzip of words of keys": gzip.compress(b"glptt-".ljust(80, b".") * (FREE // 40)),
}


@pytest.mark.parametrize("name", DEAR)
def test_a_small_body_that_takes_long_to_look_at_is_one_too(name: str) -> None:
    """A gzip of 40 KiB, of nothing but small messages, held up all else for 40 seconds."""
    watch = BodyWatch("sent", Vault(watched=KEYS_ALONE), "gzip")
    begun = time.process_time()
    found = [each.name for each in watch.feed(gzip.compress(DEAR[name]))]
    assert time.process_time() - begun < 2.0
    assert found == (["compression-bomb"] if name != "gzip of words of keys" else [])


def test_lines_of_json_that_hold_no_message_cost_no_more_than_their_bytes() -> None:
    watch = Watch("http body", "sent")
    watch.feed(b'{"method":"submit"}\n' + b'{"a":1}\n' * 99)
    before = watch.effort
    watch.feed(b'{"a":[{"b":"c"}],"level":"info"}\n' * 4000)
    assert watch.effort - before < 4000


def test_unknown_and_too_many_codings_are_not_decoded() -> None:
    assert decoders("gzip, secret") == []
    assert decoders("gzip, gzip, gzip, gzip") == []
    assert len(decoders("gzip, identity, br")) == 2


@given(st.sampled_from(sorted(CODINGS)), st.lists(st.binary(max_size=300), max_size=5))
def test_no_bytes_make_it_raise(encoding: str, pieces: list[bytes]) -> None:
    findings(encoding, pieces)


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto"])
def test_a_stream_inside_grpc_is_read(content_type: str) -> None:
    body = wrap(b"SSH-2.0-") + wrap(b"OpenSSH_9.9\r\n")
    (finding,) = BodyWatch("sent", Vault(), "", content_type).feed(body)
    assert (finding.kind, finding.name, finding.where) == ("tunnel", "ssh", "message 1, sent")
    assert BodyWatch("sent", Vault(), "", "application/json").feed(body) == ()
