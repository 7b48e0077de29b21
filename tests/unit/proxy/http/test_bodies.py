"""Requests that are judged by their bodies: held back until they are read, and read in bounds."""

import asyncio
import gzip
from collections.abc import Iterator

import pytest

from firewall.apis import READ_LIMIT
from firewall.proxy.http import held
from firewall.requests import HttpRequest, Request
from firewall.verdict import Verdict
from tests.unit.proxy.http.stage import (
    ALLOW,
    DENY,
    LOGIN,
    Stage,
    deny_messages,
    echo_bodies,
)
from tests.unit.proxy.lane.stage import LaneStage

READS = b'{"jsonrpc": "2.0", "method": "eth_call"}'
WRITES = READS.replace(b"eth_call", b"eth_send")
JSON = {"content-type": "application/json"}


async def give_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP/1.1 server that answers each request with its body."""
    data = b""
    while piece := await reader.read(65536):
        data += piece
        head, ended, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        if ended and len(body) == length:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)
            await writer.drain()
            data = b""


def only_calls(request: Request) -> Verdict:
    """Allows requests whose bodies ask for eth_call and nothing else."""
    if not isinstance(request, HttpRequest):
        return deny_messages(request)
    acts = request.calls.rpc if request.calls else None
    return ALLOW if acts and {act.does for act in acts} == {"eth_call"} else DENY


@pytest.fixture(params=[Stage, LaneStage])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with request.param(only_calls) as stage:
        stage.policy.bodies = True
        yield stage


@pytest.mark.parametrize("http2", [False, True])
def test_what_the_body_asks_decides(stage: Stage, http2: bool) -> None:
    server = stage.upstream(give_back)
    door = stage.door(server.port)
    allowed = stage.ask(door, method="POST", content=READS, headers=JSON, http2=http2)
    assert (allowed.status_code, allowed.content) == (200, READS)
    denied = stage.ask(door, method="POST", content=WRITES, headers=JSON, http2=http2)
    assert denied.status_code == 403
    assert b"eth_send" not in server.received


def test_a_body_without_a_stated_length_goes_on_with_one() -> None:
    with Stage(only_calls) as stage:
        stage.policy.bodies = True
        server = stage.upstream(give_back)
        pieces = iter([READS[:5], READS[5:]])
        answer = stage.ask(
            stage.door(server.port), method="POST", content=pieces, headers=JSON, http2=True
        )
        assert answer.content == READS


def test_nothing_goes_upstream_before_the_body_is_judged(stage: Stage) -> None:
    server = stage.upstream(echo_bodies)
    door = stage.door(server.port)
    assert stage.ask(door, method="POST", content=WRITES, headers=JSON).status_code == 403
    assert server.received == b""
    (record,) = stage.verdicts("HttpRequest")
    assert record["calls"]["rpc"][0]["does"] == "eth_send"


def test_a_coded_body_is_read_and_sent_as_it_came(stage: Stage) -> None:
    server = stage.upstream(give_back)
    coded = gzip.compress(READS)
    more = {**JSON, "content-encoding": "gzip"}
    answer = stage.ask(stage.door(server.port), method="POST", content=coded, headers=more)
    assert answer.content == coded


@pytest.mark.parametrize("coding", ["gzip", "unknown", "gzip, gzip, gzip, gzip"])
def test_a_body_that_cannot_be_decoded_is_denied(stage: Stage, coding: str) -> None:
    server = stage.upstream(echo_bodies)
    more = {**JSON, "content-encoding": coding}
    answer = stage.ask(stage.door(server.port), method="POST", content=READS, headers=more)
    assert (answer.status_code, bytes(server.received)) == (403, b"")


def test_a_body_that_is_json_with_and_without_its_coding_is_denied(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What servers that ignore the coding read is not what was judged. Brotli can make such."""
    monkeypatch.setattr(held, "chain", lambda *_: iter([READS]))
    server = stage.upstream(echo_bodies)
    more = {**JSON, "content-encoding": "br"}
    answer = stage.ask(stage.door(server.port), method="POST", content=WRITES, headers=more)
    assert (answer.status_code, bytes(server.received)) == (403, b"")
    assert "not needed" in stage.verdicts("HttpRequest")[-1]["calls"]["unread"]


def test_a_body_that_decodes_to_too_much_is_denied(stage: Stage) -> None:
    server = stage.upstream(echo_bodies)
    bomb = gzip.compress(b" " * (READ_LIMIT + 1) + READS)
    more = {**JSON, "content-encoding": "gzip"}
    answer = stage.ask(stage.door(server.port), method="POST", content=bomb, headers=more)
    assert (answer.status_code, bytes(server.received)) == (403, b"")


@pytest.mark.parametrize("http2", [False, True])
def test_a_body_that_is_too_long_is_denied_unread(stage: Stage, http2: bool) -> None:
    server = stage.upstream(echo_bodies)
    long = b" " * (2 * READ_LIMIT) + READS
    answer = stage.ask(
        stage.door(server.port), method="POST", content=long, headers=JSON, http2=http2
    )
    assert (answer.status_code, bytes(server.received)) == (403, b"")
    record = stage.verdicts("HttpRequest")[-1]
    assert "too long" in record["calls"]["unread"]


def test_what_is_found_in_a_body_is_judged_first(stage: Stage) -> None:
    server = stage.upstream(echo_bodies)
    answer = stage.ask(stage.door(server.port), method="POST", content=LOGIN, headers=JSON)
    assert (answer.status_code, bytes(server.received)) == (403, b"")
    assert len(stage.verdicts("Message")) == 1


def test_bodies_that_decide_nothing_stream() -> None:
    with Stage() as stage:
        stage.policy.bodies = True
        server = stage.upstream(echo_bodies)
        long = b" " * (2 * READ_LIMIT) + b"end"
        answer = stage.ask(stage.door(server.port), method="POST", content=long)
        assert (answer.status_code, answer.content) == (200, b"ok")


def test_a_fault_is_a_recorded_deny(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    def fault(here: str) -> None:
        if here == "http.request":
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    server = stage.upstream(echo_bodies)
    answer = stage.ask(stage.door(server.port), method="POST", content=READS, headers=JSON)
    assert (answer.status_code, bytes(server.received)) == (403, b"")
    assert "fail-closed.http.request" in stage.rules()
