"""The lane looks for secrets as depth does, and leaves it to depth to set them."""

from collections.abc import Iterator

import pytest

from firewall.credentials import Secret
from firewall.held import Held
from firewall.protocols.leaks import Finder, Leak
from firewall.requests import Carried, HttpRequest, Message, Request
from firewall.vault import Vault
from firewall.verdict import Action, Obligations, Verdict
from tests.unit.proxy.http.stage import ALLOW, DENY, Stage, answering, swallow
from tests.unit.proxy.lane.stage import LaneStage

VAULT = Vault([Held(Secret("env:KEY", "KEY"), "placeholder0011", "real-value-2233", "")])
INJECTS = Verdict(Action.ALLOW, "api", "it may", obligations=Obligations(inject=("api",)))


def decide(request: Request) -> Verdict:
    if isinstance(request, HttpRequest) and request.path == "/inject":
        return INJECTS
    found = request.findings or (isinstance(request, HttpRequest) and request.carries)
    return DENY if found else ALLOW


@pytest.fixture
def stage() -> Iterator[LaneStage]:
    with LaneStage(decide) as made:
        made.judge.vault = VAULT
        yield made


def test_a_placeholder_in_a_head_is_judged_with_its_place(stage: LaneStage) -> None:
    server = stage.upstream(answering())
    answer = stage.ask(stage.door(server.port), headers={"x-key": "placeholder0011"})
    assert answer.status_code == 403
    (verdict,) = stage.verdicts("HttpRequest")
    assert verdict["carries"] == [{"name": "KEY", "place": "header x-key"}]
    assert Carried("KEY", "header x-key") in VAULT.carried(
        "GET", "/", [(b"x-key", b"placeholder0011")]
    )
    assert server.connections == 0


@pytest.mark.parametrize("told", [b"placeholder0011", b"real-value-2233"])
def test_a_body_that_tells_one_is_blocked(stage: LaneStage, told: bytes) -> None:
    server = stage.upstream(swallow)
    answer = stage.ask(stage.door(server.port), method="POST", content=b"a=" + told)
    assert answer.status_code == 403
    assert told not in server.received
    (verdict,) = stage.verdicts(Message.__name__)
    assert [each["kind"] for each in verdict["findings"]] == ["secret"]
    assert b"real-value" not in str(stage.log.events).encode()


def test_a_request_that_needs_a_secret_goes_to_depth(stage: LaneStage) -> None:
    stage.policy.injections = lambda _: ()  # type: ignore[attr-defined]
    server = stage.upstream(answering())
    assert stage.ask(stage.door(server.port), path="/inject").status_code == 200
    assert len(stage.deep) == 1


@pytest.mark.parametrize(("road", "point"), [(Stage, "http.body"), (LaneStage, "lane.")])
def test_a_search_that_fails_is_a_recorded_deny(
    road: type[Stage], point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Finder, text: bytes, *, first: bool = True) -> list[Leak]:
        if text == b"told":
            raise RuntimeError("injected")
        return []

    monkeypatch.setattr(Finder, "find", fails)
    with road(decide) as stage:
        server = stage.upstream(answering())
        answer = stage.ask(stage.door(server.port), method="POST", content=b"told")
        assert answer.status_code == 403
        assert f"fail-closed.{point}" in answer.text
        assert b"told" not in server.received
