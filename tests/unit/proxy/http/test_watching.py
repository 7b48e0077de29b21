"""Bodies are watched as sent and as decoded, within a budget, and nothing they hold can raise."""

import functools
import gzip
import random
import time
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.codings import PIECE, decoders
from firewall.proxy.http import watching
from firewall.proxy.http.watching import FREE, BodyWatch
from firewall.requests import Finding
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


def looked(watch: BodyWatch, piece: bytes) -> list[Finding]:
    """What a piece gives away, however many slices of time it takes."""
    found = [*watch.feed(piece)]
    while watch.busy:
        found += watch.go_on()
    return found


def findings(encoding: str, pieces: list[bytes]) -> list[str]:
    watch = BodyWatch("sent", Vault(), encoding)
    return [found.kind for piece in pieces for found in looked(watch, piece)]


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
    assert looked(BodyWatch("received", Vault(), encoding), bomb) == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
def test_what_decodes_to_much_is_looked_at_in_slices(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of about 64 KiB where no time is left, and none of what it hides is missed."""
    monkeypatch.setattr(watching, "SLICE_SECONDS", 0.0)
    plain = b" " * (2 << 20) + LOGIN
    watch, slices = BodyWatch("sent", Vault(), encoding), 1
    found = [*watch.feed(CODINGS[encoding](plain))]
    while watch.busy:
        slices += 1
        found += watch.go_on()
    assert slices > len(plain) // PIECE // 4
    assert [each.kind for each in found] == ["mining"]


LURES = {
    "words of keys": b"nvapi-",
    "messages": b'{"id":1,"result":[],"error":null}\n',
}


@pytest.mark.parametrize("lure", LURES.values(), ids=LURES)
def test_a_small_body_that_costs_long_to_look_at_is_a_bomb(lure: bytes) -> None:
    """All flows of a gate wait for it: whole, this took more than ten seconds."""
    packed = gzip.compress(lure * (FREE // len(lure)))
    watch, since = BodyWatch("sent", Vault.of([]), "gzip"), time.thread_time()
    found = looked(watch, packed)
    assert found[-1].name == "compression-bomb"
    assert {each.name for each in found[:-1]} <= {"crowd"}
    assert time.thread_time() - since < 3


def test_what_costs_long_to_look_at_is_no_bomb_where_it_is_as_large_as_it_decodes_to() -> None:
    keys = [f"{number:040x}" for number in range(20_000)]
    random.Random(1).shuffle(keys)
    text = "".join(f"nvapi-{key} " for key in keys).encode()
    assert findings("gzip", [gzip.compress(text)]) == []


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
