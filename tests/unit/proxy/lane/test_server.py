"""A host of several addresses: the next is judged and tried where one is not reached."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from firewall.requests import Connect, Request
from firewall.verdict import Obligations, Verdict
from tests.unit.proxy.http.stage import ALLOW, DENY, HANDSHAKE, answering, get, until
from tests.unit.proxy.lane.stage import LaneStage

DEAD = "127.0.0.2"
LIVE = "127.0.0.1"
OBLIGED = replace(ALLOW, obligations=Obligations(tool_calls=True))


def only(verdict: Verdict, address: str) -> Callable[[Request], Verdict]:
    """What meets connections to an address; all else is allowed."""

    def decide(request: Request) -> Verdict:
        there = isinstance(request, Connect) and request.address == address
        return verdict if there else ALLOW

    return decide


def test_the_next_address_is_judged_and_tried() -> None:
    with LaneStage() as stage:
        server = stage.upstream(answering())
        stage.others = ["127.0.0.3", LIVE]
        answer = stage.ask(stage.door(server.port, address=DEAD))
        assert answer.status_code == 200
        tried = [each["address"] for each in stage.verdicts("Connect")]
        assert tried == ["127.0.0.3", LIVE]


@pytest.mark.parametrize("verdict", [DENY, OBLIGED], ids=["denied", "obliged otherwise"])
def test_an_address_with_another_verdict_is_not_dialled(verdict: Verdict) -> None:
    with LaneStage(only(verdict, LIVE)) as stage:
        server = stage.upstream(answering())
        stage.others = [LIVE]
        answer = stage.ask(stage.door(server.port, address=DEAD))
        assert answer.status_code == 502
        assert DEAD in answer.text
        assert server.connections == 0


def test_a_denied_address_is_passed_over() -> None:
    with LaneStage(only(DENY, "127.0.0.3")) as stage:
        server = stage.upstream(answering())
        stage.others = ["127.0.0.3", LIVE]
        assert stage.ask(stage.door(server.port, address=DEAD)).status_code == 200
        tried = [each["address"] for each in stage.verdicts("Connect")]
        assert tried == [LIVE]


def test_depth_goes_on_at_the_address_that_was_reached() -> None:
    with LaneStage() as stage:
        server = stage.upstream(answering())
        stage.others = [LIVE]
        with stage.tls(stage.door(server.port, address=DEAD)) as client:
            client.sendall(get())
            assert until(client, b"hello")
            client.sendall(HANDSHAKE)
            assert until(client, b"hello")
        assert [each.address for each in stage.deep] == [LIVE]
