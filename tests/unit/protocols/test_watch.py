"""Watch: findings mid-stream, silence on look-alikes, and the same answer however cut."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firewall.protocols import Watch
from firewall.protocols.jsonstream import LIMIT
from firewall.protocols.marks import Mark
from firewall.requests import Direction
from tests.unit.protocols.samples import (
    FIRST_BYTES,
    LOGIN,
    SUBSCRIBE,
    UPGRADE,
    WRAPPED,
    deflate,
    frame,
    streams,
    watch,
)

CASES: list[tuple[str, str, Direction, bytes, list[tuple[str, str, str]]]] = [
    ("first line", "tcp stream", "sent", SUBSCRIBE, [("mining", "stratum", "client bytes 0-52")]),
    (
        "mid-stream, server's side",
        "tls stream",
        "received",
        b'hello\n{"id":null,"method":"mining.notify","params":[]}\n',
        [("mining", "stratum", "server bytes 6-53")],
    ),
    (
        "behind a value that never ends",
        "tcp stream",
        "sent",
        b'{"a":\n' + SUBSCRIBE,
        [("mining", "stratum", "client bytes 6-58")],
    ),
    (
        "pretty-printed without a newline",
        "http body",
        "sent",
        b'{\n  "method": "getwork",\n  "params": []\n}',
        [("mining", "getwork", "client bytes 0-40")],
    ),
    (
        "escaped, in a batch, after a byte order mark",
        "http body",
        "sent",
        b'\xef\xbb\xbf[{"id":1},{"method":"\\u006dining.authorize"}]',
        [("mining", "stratum", "client bytes 3-47")],
    ),
    (
        "after CONNECT",
        "tcp stream",
        "sent",
        b"CONNECT p:3333 HTTP/1.1\r\nHost: p:3333\r\n\r\n" + SUBSCRIBE,
        [
            ("tunnel", "http-connect", "request head"),
            ("mining", "stratum", "client bytes 41-93"),
        ],
    ),
    (
        "HTTP body on a bare stream",
        "tcp stream",
        "sent",
        b'POST / HTTP/1.1\r\nHost: p\r\n\r\n{"method":"eth_getWork","id":0}',
        [("mining", "eth-getwork", "client bytes 28-58")],
    ),
    (
        "masked WebSocket on a bare stream",
        "tcp stream",
        "sent",
        UPGRADE + frame(b"hi") + frame(SUBSCRIBE),
        [("mining", "stratum", "message 2, sent")],
    ),
    (
        "WebSocket of the server",
        "tcp stream",
        "received",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
        + frame(b"SSH-2.0-x\r\n", first=0x82, mask=b""),
        [("tunnel", "ssh", "message 1, received")],
    ),
    (
        "compressed WebSocket on a bare stream",
        "tcp stream",
        "sent",
        UPGRADE + frame(b"hi") + frame(deflate(SUBSCRIBE), first=0xC1),
        [("mining", "stratum", "message 2, sent")],
    ),
    (
        "SSH banner after other lines",
        "tls stream",
        "received",
        b"welcome\r\nSSH-2.0-dropbear\r\n",
        [("tunnel", "ssh", "server bytes 9-16")],
    ),
    (
        "chisel inside a WebSocket",
        "websocket",
        "sent",
        b"SSH-chisel-v3-client\r\n",
        [("tunnel", "chisel", "message 1, sent")],
    ),
    (
        "SOCKS greeting",
        "tls stream",
        "sent",
        b"\x05\x02\x00\x02",
        [("tunnel", "socks", "client bytes 0-3")],
    ),
]


@pytest.mark.parametrize(
    ("carrier", "direction", "data", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
@pytest.mark.parametrize("size", [1 << 20, 7, 1])
def test_finds(
    carrier: str, direction: Direction, data: bytes, expected: list[tuple[str, str, str]], size: int
) -> None:
    found = watch(data, size, carrier, direction)
    assert [(finding.kind, finding.name, finding.where) for finding in found] == expected


QUOTE = SUBSCRIBE.decode().strip()

SILENT: list[tuple[str, bytes]] = [
    ("tcp stream", b"EHLO a\r\nDATA\r\nlog: " + SUBSCRIBE),
    ("tcp stream", json.dumps({"messages": [{"content": QUOTE}], "method": "chat"}).encode()),
    ("http body", b"a log:\n" + SUBSCRIBE),
    ("http body", json.dumps({"prompt": QUOTE, "login": "bob"}).encode()),
    ("http body", b'{"method":"login","params":{"login":"bob","password":"x"}}'),
    ("http body", b'{"method":"login","params":{"login":"bob","pass":"x"}}'),
    ("http body", b'{"method":"mining.listProcesses","params":{}}'),
    ("http body", b'{"job_id":"123","result":"OK","worker":"runner-7"}'),
    ("http body", b'{"method":"getjobtemplate","id":7}'),
    ("websocket", b'{"method":"eth_subscribe","params":["newHeads"]}'),
    ("websocket", b'{"type":"auth","params":{"token":"x"}}'),
    ("tcp stream", b'{"method":"server.version","params":["electrum","1.4"],"id":0}\n'),
    ("tcp stream", b'Content-Length: 30\r\n\r\n{"method":"initialize","id":1}'),
    ("http body", b'{"result":["0x%s","0x%s","0x%s"]}' % (b"a1" * 32, b"b2" * 32, b"c3" * 32)),
    ("http body", b"see SSH-2.0-OpenSSH\nSSH-2.0-x\n"),
]


@pytest.mark.parametrize(("carrier", "data"), SILENT)
def test_look_alikes_stay_unflagged(carrier: str, data: bytes) -> None:
    assert watch(data, len(data), carrier) == []


def test_each_finding_is_told_once() -> None:
    assert len(watch(SUBSCRIBE * 50, 11)) == 1


def test_a_flood_of_findings_is_cut() -> None:
    lines = b"".join(b'{"method":"mining.x%d"}\n' % number for number in range(1000))
    assert len(watch(lines, 4096)) == 64


def test_end_begins_a_new_message() -> None:
    watching = Watch("websocket", "received")
    assert watching.feed(b"plain text ", end=True) == ()
    assert watching.feed(b'{"unfinished": ', end=True) == ()
    (finding,) = watching.feed(SUBSCRIBE, end=True)
    assert finding.where == "message 3, received"


def test_a_refused_upgrade_does_not_blind() -> None:
    (finding,) = watch(UPGRADE + SUBSCRIBE, 5)
    assert finding.name == "stratum"


def test_a_value_beyond_the_limit_is_skipped_and_the_next_is_read() -> None:
    long = json.dumps({"pad": "x" * LIMIT}).encode() + b"\n"
    found = watch(long + SUBSCRIBE, 1000)
    assert [finding.where for finding in found] == [f"client bytes {len(long)}-{len(long) + 52}"]


def test_doubled_keys_are_read_both_ways() -> None:
    for data in (b'{"method":"x","method":"getwork"}', b'{"method":"getwork","method":"x"}'):
        assert [finding.name for finding in watch(data, 99, "http body")] == ["getwork"]


def test_huge_numbers_and_lone_surrogates_do_not_blind() -> None:
    data = b'{"id":%s,"x":"\\ud800","method":"mining.\\ud800"}\n' % (b"9" * 5000)
    (finding,) = watch(data, len(data))
    assert finding.evidence == "JSON-RPC method mining.\\ud800"


@given(st.one_of(streams(), st.binary(max_size=300)), st.integers(1, 40), st.booleans())
@example(UPGRADE + frame(SUBSCRIBE) + frame(b"x" * 40) + frame(b"SSH-2.0-x", mask=b""), 37, True)
@example(WRAPPED[3] + b"\nSSH-2.0-y\n", 1, False)
@example(b'{"a":"\\\n{"method":"getwork"}\n', 1, True)
@example(LOGIN[:-1] + b"\0" + LOGIN, 1, False)
def test_whole_equals_pieces(data: bytes, size: int, sent: bool) -> None:
    direction: Direction = "sent" if sent else "received"
    for carrier in ("tcp stream", "tls stream", "http body", "websocket", "grpc"):
        whole = watch(data, len(data) or 1, carrier, direction)
        assert watch(data, 1, carrier, direction) == whole
        assert watch(data, size, carrier, direction) == whole


@pytest.mark.parametrize(
    "unit", [b'{"', b"[{", b'{"a":', b"\n{", b'"\n', b"{\n", b"\0", b"\\", b"}"]
)
def test_hostile_repetition_costs_little(unit: bytes) -> None:
    """A megabyte of anything stays far from a second, and little of it is kept."""
    watching = Watch("tcp stream", "sent")
    started = time.process_time()
    for _ in range(64):
        watching.feed(unit * (16384 // len(unit)))
    assert time.process_time() - started < 5
    assert len(watching._documents._text) <= 2 * LIMIT


def test_samples_are_all_fed_without_error() -> None:
    found = [finding for data in FIRST_BYTES for finding in watch(data, 3)]
    assert {finding.kind for finding in found} == {"mining", "tunnel"}


def test_a_line_of_several_values_is_read_once_however_it_is_cut() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: a\r\nContent-Length: 30\r\n\r\n"
    data = head + b'{"a":1}' + SUBSCRIBE.strip() + b'{"b":2}\n'
    whole = Watch("tcp stream", "sent").feed(data)
    watch = Watch("tcp stream", "sent")
    assert tuple(each for byte in data for each in watch.feed(bytes([byte]))) == whole
    assert [each.confidence for each in whole] == ["suspicious"]


BEGUN = b'{"messages": [{"role": "user", "content": "' + b"tell me more. " * 40


def test_bytes_that_only_continue_a_value_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watch("http body", "sent")
    watching.feed(BEGUN)
    read: list[bytes] = []

    def note(data: bytes, *, end: bool) -> list[Mark]:
        read.append(data)
        return []

    monkeypatch.setattr(watching, "read", note)
    for piece in (b"and more", b"", b'"}], "met', b"hod", b'": "getw', b"ork"):
        assert watching.feed(piece) == ()
    assert read == [b"ork"], "only what may complete a message is read"


@given(
    st.lists(st.sampled_from([b'"}]}', b'"', b"\n", b"{", b'{"a":[', BEGUN, *FIRST_BYTES])),
    st.integers(1, 200),
    st.integers(0, LIMIT),
    st.sampled_from(["http body", "websocket", "grpc"]),
)
@example([b'"}],"method":"getwork"}'], 3, 0, "http body")
@example([b'"}],"m\\u0065thod":"getwork"}', SUBSCRIBE], 1, 0, "http body")
@example([b'"}]}', SUBSCRIBE], 7, LIMIT - len(BEGUN), "http body")
@example([b'"}],"method":"getwork"}'], 7, LIMIT - len(BEGUN) - 24, "http body")
@example([b'"}],"method":"getwork"}'], 7, LIMIT - len(BEGUN) - 23, "http body")
def test_what_is_put_off_is_found_all_the_same(
    parts: list[bytes], size: int, padding: int, carrier: str
) -> None:
    put_off, read = Watch(carrier, "sent"), Watch(carrier, "sent")
    data = b"".join(parts)
    pieces = [BEGUN, b"x" * padding, *(data[at : at + size] for at in range(0, len(data), size))]
    for piece in pieces:
        assert put_off.feed(piece) == tuple(mark.finding for mark in read.read(piece))
