"""A body that decodes to much is looked at in slices, on every road: it waits meanwhile, and other
flows do not."""

import gzip
from collections.abc import Iterator

import pytest

from firewall.proxy.http import watching
from firewall.proxy.http.watching import BodyWatch
from firewall.requests import Finding, Message, Request
from firewall.verdict import Verdict
from tests.unit.proxy.http.stage import (
    ALLOW,
    DENY,
    LOGIN,
    answering,
    get,
    read_all,
    swallow,
    until,
)
from tests.unit.proxy.lane.stage import LaneStage

ROADS = ("lane", "depth", "http2")
SPACES = b" " * (2 << 20)
GZIP = {"content-encoding": "gzip"}


def decide(request: Request) -> Verdict:
    return DENY if isinstance(request, Message) else ALLOW


@pytest.fixture
def stage() -> Iterator[LaneStage]:
    with LaneStage(decide) as made:
        yield made


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Slices that were looked at, of the least size."""
    seen: list[str] = []
    plain = BodyWatch.go_on

    def go_on(watch: BodyWatch) -> tuple[Finding, ...]:
        seen.append("slice")
        return plain(watch)

    monkeypatch.setattr(watching, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(BodyWatch, "go_on", go_on)
    return seen


@pytest.mark.parametrize("road", ROADS)
def test_what_is_found_in_a_later_slice_lets_nothing_through(
    stage: LaneStage, slices: list[str], road: str
) -> None:
    server = stage.upstream(swallow)
    door = stage.door(server.port, deep=road != "lane")
    packed = gzip.compress(SPACES + LOGIN)
    answer = stage.ask(door, "/", "POST", http2=road == "http2", headers=GZIP, content=packed)
    assert (answer.status_code, answer.headers["x-firewall-rule"]) == (403, DENY.rule)
    assert len(slices) > len(SPACES) >> 17
    assert packed[:64] not in server.received
    (verdict,) = stage.verdicts("Message")
    assert verdict["findings"][0]["kind"] == "mining"


@pytest.mark.parametrize("road", ROADS)
def test_what_is_honest_goes_on_whole(stage: LaneStage, slices: list[str], road: str) -> None:
    packed = gzip.compress(SPACES)
    server = stage.upstream(answering(packed, b"Content-Encoding: gzip\r\n"))
    door = stage.door(server.port, deep=road != "lane")
    for _ in range(2):
        answer = stage.ask(door, http2=road == "http2")
        assert answer.content == SPACES
    assert len(slices) > len(SPACES) >> 16
    assert "Message" not in stage.rules()


def test_a_client_that_leaves_meanwhile_ends_it(stage: LaneStage, slices: list[str]) -> None:
    server = stage.upstream(swallow)
    packed = gzip.compress(b" " * (8 << 20) + LOGIN)
    with stage.tls(stage.door(server.port)) as client:
        head = b"POST / HTTP/1.1\r\nHost: good.test\r\nContent-Encoding: gzip\r\n"
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)
    stage.wait_ended()
    assert packed[:64] not in server.received


@pytest.mark.parametrize("left", [0, 1])
def test_an_answer_that_comes_before_all_is_looked_at_holds_up_nothing(
    stage: LaneStage, slices: list[str], left: int
) -> None:
    """The rest of the request is read off, and the next one is served."""
    packed = gzip.compress(b" " * (8 << 20))
    server = stage.upstream(answering())
    with stage.tls(stage.door(server.port)) as client:
        head = b"POST / HTTP/1.1\r\nHost: good.test\r\nContent-Encoding: gzip\r\n"
        length = b"Content-Length: %d\r\n\r\n" % len(packed)
        client.sendall(head + length + packed[: len(packed) - left])
        received = until(client, b"hello")
        client.sendall(packed[len(packed) - left :] + get("/next", "Connection: close"))
        received += read_all(client)
    assert received.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("road", ROADS)
def test_a_slice_that_fails_lets_nothing_through(
    stage: LaneStage, monkeypatch: pytest.MonkeyPatch, road: str
) -> None:
    plain, seen = BodyWatch.go_on, list[str]()

    def go_on(watch: BodyWatch) -> tuple[Finding, ...]:
        seen.append("slice")
        if len(seen) == 5:
            raise RuntimeError("injected")
        return plain(watch)

    monkeypatch.setattr(watching, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(BodyWatch, "go_on", go_on)
    server = stage.upstream(swallow)
    packed = gzip.compress(SPACES)
    door = stage.door(server.port, deep=road != "lane")
    answer = stage.ask(door, "/", "POST", http2=road == "http2", headers=GZIP, content=packed)
    point = "lane.look" if road == "lane" else "http.egress_finding"
    assert answer.status_code == 403
    assert answer.headers["x-firewall-rule"] == f"fail-closed.{point}"
    assert stage.rules()[-1] == f"fail-closed.{point}"
    assert len(seen) == 5
    assert packed[:64] not in server.received
