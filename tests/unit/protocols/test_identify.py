"""identify: every protocol, and the same answer whole or byte by byte."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firewall.protocols import Identity, identify
from firewall.protocols.identify import LIMIT
from tests.unit.protocols.samples import FIRST_BYTES, SUBSCRIBE, streams

PROTOCOLS = [
    "tls", "http", "http", "http-connect", "http2", "ssh", "socks", "socks", "json-rpc", "json-rpc",
    "unknown", "unknown", "unknown", "unknown", "unknown", "http", "unknown",
]  # fmt: skip


@pytest.mark.parametrize(("data", "protocol"), list(zip(FIRST_BYTES, PROTOCOLS, strict=True)))
def test_names_the_protocol(data: bytes, protocol: str) -> None:
    identity = identify(data, final=True)
    assert identity is not None
    assert identity.protocol == protocol


def test_nothing_sent_is_silent_only_when_final() -> None:
    assert identify(b"") is None
    assert identify(b"", final=True) == Identity("silent")


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01", b"GE", b"SSH", b"\x05", b"PRI * H", b'{"id":', b" \r\n", b"\xf9\xbe"]
)
def test_waits_for_bytes_that_decide(data: bytes) -> None:
    assert identify(data) is None
    assert identify(data, final=True) == Identity("unknown")


@pytest.mark.parametrize(
    "data",
    [b"\x16\x04", b"\x16\x03\x01\x00\x00", b"<xml/>", b"220 mx\r\n", b"\x00\x01\x02", b"\x80"],
)
def test_does_not_wait_for_what_cannot_come(data: bytes) -> None:
    assert identify(data) == Identity("unknown")


def test_http_head_without_end_is_still_http() -> None:
    identity = identify(b"GET /slow HTTP/1.1\r\nHost: a\r\n", final=True)
    assert identity == Identity("http")


def test_endless_head_is_decided_at_the_limit() -> None:
    head = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (LIMIT // 6)
    assert len(head) > LIMIT
    assert identify(head) == Identity("http")


def test_json_that_is_no_rpc_is_unknown() -> None:
    assert identify(b'{"hello": "world"}\n') == Identity("unknown")
    assert identify(b'{"jsonrpc":"2.0","method":"eth_call","id":1}') == Identity("json-rpc")


def test_mining_rides_in_the_findings() -> None:
    identity = identify(SUBSCRIBE)
    assert identity is not None
    (finding,) = identity.findings
    assert (finding.kind, finding.name) == ("mining", "stratum")
    assert finding.evidence == "JSON-RPC method mining.subscribe"
    assert finding.where == "client bytes 0-52"


@given(st.one_of(streams(), st.binary(max_size=200)))
@example(b"\x05\x01\x00")
def test_whole_equals_byte_by_byte(data: bytes) -> None:
    """Once decided, more bytes change nothing, and nothing was withheld."""
    answers = [identify(data[:size]) for size in range(len(data) + 1)]
    decided = [answer for answer in answers if answer is not None]
    assert all(answer == decided[0] for answer in decided)
    assert None not in answers[len(answers) - len(decided) :]
    if decided:
        assert identify(data, final=True) == decided[0]


@given(st.binary(max_size=300))
def test_final_always_answers(data: bytes) -> None:
    assert identify(data, final=True) is not None
