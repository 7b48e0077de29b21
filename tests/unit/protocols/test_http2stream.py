"""HTTP/2 without TLS: what its heads and its streams say, however the bytes are cut."""

import gzip
from itertools import pairwise

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PushPromiseFrame,
    SettingsFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import Watch
from firewall.protocols.http2 import PREFACE, recognise_server
from firewall.protocols.http2stream import LIMIT, STREAMS
from firewall.protocols.identity import MORE
from firewall.requests import Direction
from tests.unit.protocols.samples import SUBSCRIBE

SETTINGS = SettingsFrame(0, settings={3: 100}).serialize()
POST = [(":method", "POST"), (":scheme", "http"), (":authority", "a.example"), (":path", "/rpc")]
OK = [(":status", "200")]
GRPC = ("content-type", "application/grpc")


def head(
    fields: list[tuple[str, str]], *, stream: int = 1, flags: tuple[str, ...] = ("END_HEADERS",)
) -> bytes:
    return HeadersFrame(stream, Encoder().encode(fields), flags=flags).serialize()


def data(content: bytes, *, stream: int = 1, flags: tuple[str, ...] = ()) -> bytes:
    return DataFrame(stream, content, flags=flags).serialize()


def grpc(piece: bytes) -> bytes:
    """A message of one bytes field (gRPC's PROTOCOL-HTTP2.md)."""
    field = b"\x0a" + bytes([len(piece)]) + piece
    return b"\0" + len(field).to_bytes(4) + field


def found(direction: Direction, *pieces: bytes) -> list[tuple[str, str, str]]:
    watch = Watch("tcp stream", direction)
    return [
        (each.name, each.where, each.confidence) for piece in pieces for each in watch.feed(piece)
    ]


def asked(*frames: bytes) -> list[tuple[str, str, str]]:
    return found("sent", PREFACE + SETTINGS + b"".join(frames))


def test_a_compressed_body_on_a_stream_is_read() -> None:
    line, coded = gzip.compress(SUBSCRIBE), [*POST, ("content-encoding", "gzip")]
    ((name, where, sure),) = asked(head(coded), data(line[:9]), data(line[9:]))
    assert (name, sure) == ("stratum", "certain")
    assert where.startswith("HTTP/2 stream 1, decoded, client bytes 0-")
    assert asked(head(POST), data(line)) == asked(head(coded), data(b"no gzip at all")) == []


def test_a_body_on_a_stream_is_read() -> None:
    line = SUBSCRIBE.strip()
    where = f"HTTP/2 stream 1, client bytes 0-{len(line) - 1}"
    assert asked(head(POST), data(line)) == [("stratum", where, "certain")]


def test_a_body_may_be_padded_and_cut_among_others() -> None:
    line = SUBSCRIBE.strip()
    first = DataFrame(1, line[:20], pad_length=9, flags=("PADDED",)).serialize()
    other = data(b"GET me", stream=3)
    names = [
        name for name, *_ in asked(head(POST), head(POST, stream=3), first, other, data(line[20:]))
    ]
    assert names == ["stratum"]


def test_pieces_of_grpc_are_one_stream() -> None:
    frames = head([*POST, GRPC]), data(grpc(b"SSH-2.0-Op")), data(grpc(b"enSSH_9.9\r\n"))
    assert [name for name, *_ in asked(*frames)] == ["ssh"]


def test_connect_opens_a_tunnel() -> None:
    connect = [(":method", "CONNECT"), (":authority", "pool.example:3333")]
    assert [name for name, *_ in asked(head(connect), data(SUBSCRIBE))] == [
        "http-connect",
        "stratum",
    ]


def test_heads_give_tunnels_away() -> None:
    miner = [*POST, ("user-agent", "xmrig/6.21.0")]
    assert asked(head(miner)) == [("miner", "HTTP/2 stream 1, request head", "certain")]


def test_a_head_may_be_cut_into_frames() -> None:
    block = Encoder().encode([*POST, ("user-agent", "xmrig/6.21.0")])
    frames = (
        HeadersFrame(1, block[:9], flags=("PRIORITY",), stream_weight=3).serialize(),
        ContinuationFrame(1, block[9:15]).serialize(),
        ContinuationFrame(1, block[15:], flags=("END_HEADERS",)).serialize(),
    )
    assert [name for name, *_ in asked(*frames)] == ["miner"]


def test_a_server_is_read_as_well() -> None:
    job = (
        b'{"id":1,"result":{"job":{"job_id":"7","blob":"' + b"0a" * 76 + b'","target":"b88d0600"}}}'
    )
    heads = head([*OK, ("x-stratum", "stratum+tcp://pool.example")])
    assert [name for name, *_ in found("received", SETTINGS, heads, data(job))] == [
        "http-getwork",
        "monero-stratum",
    ]


def test_what_is_pushed_has_a_head() -> None:
    block = Encoder().encode([*POST[:3], (":path", "/.well-known/masque/udp/a/1/")])
    push = PushPromiseFrame(1, 2, block, flags=("END_HEADERS",)).serialize()
    assert [name for name, *_ in found("received", SETTINGS, push)] == ["masque"]


def test_a_server_that_asks_has_turned_the_roles_round() -> None:
    assert [name for name, *_ in found("received", PREFACE + SETTINGS)] == ["reverse-http"]


@pytest.mark.parametrize(
    "body",
    [
        b"the log said\n" + SUBSCRIBE,
        b'{"method": "tools/call", "params": {"text": "mining.subscribe"}}',
        b"",
    ],
)
def test_honest_bodies_are_left_alone(body: bytes) -> None:
    told = asked(
        head([*POST, ("content-type", "application/json")]), data(body, flags=("END_STREAM",))
    )
    assert [each for each in told if each[2] != "suspicious"] == []


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("no header block", HeadersFrame(1, b"\x80", flags=("END_HEADERS",)).serialize()),
        ("a header block cut by data", HeadersFrame(1, b"").serialize() + data(b"x")),
        ("more blocks than are kept", HeadersFrame(1, bytes(LIMIT)).serialize()
            + ContinuationFrame(1, b"\0").serialize()),
        ("an endless head", (LIMIT + 1).to_bytes(3) + b"\1\4\0\0\0\1"),
        ("settings of a wrong size", b"\0\0\5\4\0\0\0\0\0" + bytes(5)),
    ],
)  # fmt: skip
def test_what_is_broken_is_read_no_further(name: str, frame: bytes) -> None:
    assert asked(frame, head(POST), data(SUBSCRIBE.strip())) == []


def test_long_data_is_passed_over() -> None:
    long = (LIMIT + 1).to_bytes(3) + b"\0\0\0\0\0\1" + bytes(LIMIT + 1)
    later = head(POST, stream=3) + data(SUBSCRIBE.strip(), stream=3)
    assert [name for name, *_ in asked(head(POST), long, later)] == ["stratum"]


def test_streams_beyond_the_limit_push_out_the_oldest() -> None:
    heads = [head(POST, stream=1 + 2 * number) for number in range(STREAMS + 1)]
    assert asked(*heads, data(SUBSCRIBE.strip(), stream=1)) == []
    assert asked(*heads, data(SUBSCRIBE.strip(), stream=3)) != []


WHOLE = (
    PREFACE
    + SETTINGS
    + head(POST)
    + data(SUBSCRIBE.strip(), flags=("END_STREAM",))
    + head([*POST, GRPC], stream=3)
    + data(grpc(b"SSH-2.0-OpenSSH_9.9\r\n"), stream=3)
)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_the_answer_does_not_depend_on_the_cuts(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[start:end] for start, end in pairwise(places)]
    assert found("sent", *pieces) == found("sent", WHOLE)
    assert [name for name, *_ in found("sent", *pieces)] == ["stratum", "ssh"]


def test_a_server_begins_with_its_settings() -> None:
    for end in range(1, 9):
        assert recognise_server(SETTINGS[:end]) is MORE
    assert recognise_server(SETTINGS) is not None
    for wrong in (b"\0\0\5\4", b"\0\0\6\1", b"\0\0\6\4\0\0\0\0\1", b"HTTP/1.1 200"):
        assert recognise_server(wrong) is None
