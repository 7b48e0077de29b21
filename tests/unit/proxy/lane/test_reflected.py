"""A server that repeats what it was sent tells the client no secret, by whichever road."""

from collections.abc import Iterator

import httpx
import pytest

from firewall.credentials import Secret
from firewall.requests import Message, Request
from firewall.vault import Held, Vault
from firewall.verdict import Verdict
from tests.unit.proxy.http.stage import ALLOW, DENY, saying
from tests.unit.proxy.lane.stage import LaneStage

VALUE = b"real-value-2233"
ROADS = ("lane", "depth", "http2")
VAULT = Vault([Held(Secret("env:KEY", "KEY"), "placeholder0011", VALUE.decode(), "")])


def decide(request: Request) -> Verdict:
    told = isinstance(request, Message) and any(each.kind == "secret" for each in request.findings)
    return DENY if told else ALLOW


@pytest.fixture
def stage() -> Iterator[LaneStage]:
    with LaneStage(decide) as made:
        made.judge.vault = VAULT
        made.interceptor.egress.judge.vault = VAULT
        yield made


def ask(stage: LaneStage, port: int, road: str) -> httpx.Response:
    return stage.ask(stage.door(port, deep=road != "lane"), http2=road == "http2")


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 %b OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon %b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n%b: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_a_head_that_cannot_be_read_is_not_repeated(
    stage: LaneStage, reply: bytes, road: str
) -> None:
    server = stage.upstream(saying(reply % VALUE))
    answer = ask(stage, server.port, road)
    assert answer.status_code == 502
    assert "cannot" in answer.text.lower()
    assert VALUE not in answer.content + str(answer.headers).encode()


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("reply", "where"),
    [
        (b"HTTP/1.1 200 %b\r\nContent-Length: 0\r\n\r\n", "reason phrase"),
        (b"HTTP/1.1 302 Found\r\nLocation: /?%b\r\nContent-Length: 0\r\n\r\n", "header location"),
        (b"HTTP/1.1 200 OK\r\n%b: a\r\nContent-Length: 0\r\n\r\n", "header name"),
    ],
)
def test_a_secret_anywhere_in_a_head_is_found(
    stage: LaneStage, reply: bytes, where: str, road: str
) -> None:
    server = stage.upstream(saying(reply % VALUE))
    answer = ask(stage, server.port, road)
    assert answer.status_code == 403
    (verdict,) = stage.verdicts("Message")
    assert [each["where"] for each in verdict["findings"]] == [where]
