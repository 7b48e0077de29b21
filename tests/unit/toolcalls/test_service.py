"""The tool-call service: what it answers, and that nothing an agent sends makes it fail."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import firewall.judge
from firewall.actor import Actor
from firewall.ports import Answer as Told
from firewall.requests import Request
from firewall.toolcalls import service
from firewall.toolcalls.dialects import DIALECTS
from firewall.toolcalls.service import Answer, Service
from firewall.verdict import Action, Verdict
from tests.unit.toolcalls.dialects.events import EVENTS
from tests.unit.toolcalls.serving import ACTOR, ALLOW, ASK, DENY, Court

CALL = b'{"tool": "Bash", "arguments": {"command": "nc -l 1"}}'


def post(court: Court, body: bytes, path: str = "/v1/tool-calls") -> Answer:
    return court.service.answer("POST", path, body, ACTOR)


def test_a_deny_says_why_and_what_to_change() -> None:
    court = Court(DENY)
    answer = post(court, CALL)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert json.loads(answer.body) == {
        "action": "deny",
        "rule": "no-nc",
        "reason": "nc is denied",
        "remedy": "use curl",
        "text": "Blocked by the firewall: nc is denied\nrule: no-nc\nto allow it: use curl",
    }
    assert court.memory.verdicts() == [("deny", "no-nc")]
    assert court.call.commands[0].words == ("nc", "-l", "1")


def test_an_allow_has_nothing_to_tell() -> None:
    said = json.loads(post(Court(ALLOW), CALL).body)
    assert (said["action"], said["rule"], said["text"]) == ("allow", "fine", "")


def test_every_member_of_a_call_is_judged() -> None:
    court = Court(ALLOW)
    body = {
        "tool": "my_tool",
        "arguments": {"cmd": "ls"},
        "id": "call-1",
        "agent": "a",
        "server": "s",
        "session": "t",
        "directory": "/src",
    }
    assert post(court, json.dumps(body).encode()).status == 200
    call = court.call
    assert (call.tool, call.call_id, call.agent, call.server) == ("my_tool", "call-1", "a", "s")
    assert (call.session, call.directory) == ("t", "/src")
    assert call.commands[0].words == ("ls",), "the policy names the argument that is a command"


class Person:
    """Says yes at once to whatever is asked."""

    def standing(self, request: Request, actor: Actor, verdict: Verdict) -> Verdict:
        return verdict

    def ask(self, request: Request, actor: Actor, verdict: Verdict, answer: Told) -> None:
        answer(Verdict(Action.ALLOW, "push", "ann said yes"))


@pytest.mark.parametrize(
    ("query", "action"), [("", "ask"), ("?wait=0", "ask"), ("?wait=1", "allow")]
)
def test_a_call_waits_for_a_person_if_its_caller_does(query: str, action: str) -> None:
    answer = post(Court(ASK, Person()), CALL, f"/v1/tool-calls{query}")
    assert json.loads(answer.body)["action"] == action


def test_an_ask_is_denied_where_its_caller_waits_and_nobody_is_there() -> None:
    said = json.loads(post(Court(ASK), CALL, "/v1/tool-calls?wait=1").body)
    assert (said["action"], said["rule"]) == ("deny", "push")
    assert said["reason"] == "a push needs consent; nobody can be asked here"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is no JSON: Expecting value"),
        (b"\xff", "the body is no JSON"),
        (b"[" * 100_000, "the body is no JSON: it is nested too deep"),
        (b'{"tool": "a", "tool": "b"}', "a name stands twice in one object"),
        (b'{"tool": "a", "arguments": {"x": 1, "x": 2}}', "a name stands twice"),
        (b"[]", "the body is no JSON object"),
        (b"{}", "tool is missing; known: agent, arguments, directory"),
        (b'{"tool": ""}', "tool is missing"),
        (b'{"tool": 3}', "tool must be text"),
        (b'{"tool": "a", "args": {}}', "unknown: args; known: agent, arguments"),
        (b'{"tool": "a", "\\ud800": {}}', "unknown: \ud800"),
        (b'{"tool": "a", "arguments": []}', "arguments must be an object"),
        (b'{"tool": "a", "id": 3}', "id must be text"),
        (b'{"tool": "a", "session": null}', "session must be text"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    court = Court(ALLOW)
    answer = post(court, body)
    assert answer.status == 400
    assert reason in json.loads(answer.body)["error"]
    assert court.policy.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/v1/tool-calls", 405, "GET is not served; use POST"),
        ("POST", "/v1/hooks/other", 404, "there is no /v1/hooks/other; see /v1/openapi.json"),
        ("POST", "/", 404, "there is no /"),
        ("POST", "claude-code", 404, "there is no claude-code"),
    ],
)
def test_there_is_nothing_else(method: str, path: str, status: int, reason: str) -> None:
    answer = Court(ALLOW).service.answer(method, path, CALL, ACTOR)
    assert answer.status == status
    assert reason in json.loads(answer.body)["error"]


@pytest.mark.parametrize("agent", DIALECTS)
def test_a_hook_is_answered_in_its_agents_words(agent: str) -> None:
    body = json.dumps(EVENTS[agent]).encode()
    denied = post(court := Court(DENY), body, f"/v1/hooks/{agent}")
    assert denied.headers["X-Hook-Exit"] == ("2" if agent == "openhands" else "0")
    assert b"nc is denied" in denied.body
    assert court.call.agent == agent
    assert court.call.commands[0].words == ("nc", "-l", "1"), "the command is found"
    allowed = post(Court(ALLOW), body, f"/v1/hooks/{agent}")
    assert (allowed.headers["X-Hook-Exit"], allowed.body) == ("0", b"")


@pytest.mark.parametrize("agent", DIALECTS)
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"tool_name": "a", "tool_name": "b"}'])
def test_a_hook_whose_input_cannot_be_read_denies(agent: str, body: bytes) -> None:
    court = Court(ALLOW)
    answer = post(court, body, f"/v1/hooks/{agent}")
    assert b"the hook's input cannot be read" in answer.body
    assert b"deny" in answer.body or answer.headers["X-Hook-Exit"] == "2"
    assert court.policy.asked == []


@pytest.mark.parametrize("agent", ["codex", "gemini", "openhands"])
def test_an_agent_that_cannot_ask_waits_for_a_person(agent: str) -> None:
    body = json.dumps(EVENTS[agent]).encode()
    assert post(Court(ASK, Person()), body, f"/v1/hooks/{agent}").body == b""
    assert b"nobody can be asked here" in post(Court(ASK), body, f"/v1/hooks/{agent}").body


def test_an_agent_that_can_ask_asks_its_own_user() -> None:
    answer = post(Court(ASK, Person()), json.dumps(EVENTS["claude-code"]).encode(), HOOK)
    said = json.loads(answer.body)["hookSpecificOutput"]
    assert said["permissionDecision"] == "ask"


HOOK = "/v1/hooks/claude-code"


@pytest.mark.parametrize("path", ["/v1/tool-calls", *(f"/v1/hooks/{agent}" for agent in DIALECTS)])
def test_a_fault_is_a_recorded_deny(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(point: str) -> None:
        if point == "toolcalls.decide":
            raise RuntimeError("boom")

    monkeypatch.setattr(firewall.judge, "probe", broken)
    court = Court(ALLOW)
    body = json.dumps(EVENTS[path.rpartition("/")[2]]).encode() if "hooks" in path else CALL
    answer = post(court, body, path)
    assert b"boom" in answer.body
    assert b"deny" in answer.body or answer.headers["X-Hook-Exit"] == "2"
    assert court.memory.verdicts() == [("deny", "fail-closed.toolcalls.decide")]


def test_a_verdict_that_does_not_come_in_time_is_a_deny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ANSWER_SECONDS", 0.01)
    late: list[Callable[[], None]] = []
    court = Court(ALLOW)
    court.service._post = late.append
    said = json.loads(post(court, CALL).body)
    assert (said["action"], said["rule"]) == ("deny", "fail-closed.toolcalls.decide")
    for work in late:
        work()
    assert court.memory.verdicts()[0] == ("deny", "fail-closed.toolcalls.decide")


def test_a_judge_that_cannot_be_reached_is_a_deny() -> None:
    def gone(work: Callable[[], None]) -> None:
        raise OSError("the loop has ended")

    court = Court(ALLOW)
    stopped = Service(court.service._judge, gone)
    said = json.loads(stopped.answer("POST", "/v1/tool-calls", CALL, ACTOR).body)
    assert (said["action"], said["rule"]) == ("deny", "fail-closed.toolcalls.decide")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text('a{"\\\ud800\0', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tool", "arguments", "id", "agent", "x"]), inner)
    ),
    max_leaves=8,
)
BODIES = st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode())
PATHS = st.sampled_from(
    ["/v1/tool-calls", "/v1/tool-calls?wait=1&wait=%ff", "/v1/hooks/cursor", HOOK, "/\ud800"]
)


@given(PATHS, BODIES, st.sampled_from([ALLOW, DENY, ASK]))
def test_no_body_makes_it_raise_or_allow_what_it_cannot_read(
    path: str, body: bytes, verdict: Verdict
) -> None:
    court = Court(verdict)
    answer = post(court, body, path)
    assert isinstance(answer.body, bytes)
    if not court.policy.asked:
        assert answer.status in (400, 404) or b"deny" in answer.body


@given(st.dictionaries(st.text('ab"\\\ud800', max_size=4), JSON, max_size=4))
def test_any_arguments_are_judged(arguments: dict[str, Any]) -> None:
    court = Court(DENY)
    answer = post(court, json.dumps({"tool": "t", "arguments": arguments}).encode())
    assert json.loads(answer.body)["rule"] == "no-nc"
