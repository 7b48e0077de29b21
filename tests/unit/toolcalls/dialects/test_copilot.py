"""Copilot CLI's preToolUse hook, in its own shape and in the one it shares with Claude Code."""

import json

import pytest

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects import HookError
from firewall.toolcalls.dialects.copilot import DIALECT
from firewall.verdict import Action
from tests.unit.toolcalls.dialects.events import CLAUDE, EVENTS

EVENT = EVENTS["copilot"]


@pytest.mark.parametrize("given", ['{"command": "nc -l 1"}', {"command": "nc -l 1"}])
def test_a_call_is_read(given: object) -> None:
    call = DIALECT.read({**EVENT, "toolArgs": given})
    assert call == Call("bash", {"command": "nc -l 1"}, None, "copilot", "", "s-1", "/src")


def test_a_pascal_case_event_is_read_as_claude_codes() -> None:
    call = DIALECT.read(CLAUDE)
    assert (call.tool, call.agent, call.call_id) == ("Bash", "copilot", "toolu_1")


@pytest.mark.parametrize("action", [Action.DENY, Action.ASK])
def test_it_answers_in_the_shape_it_was_asked_in(action: Action) -> None:
    said = {"permissionDecision": action.value, "permissionDecisionReason": "why"}
    assert json.loads(DIALECT.reply(EVENT, action, "why").output) == said
    assert json.loads(DIALECT.reply(CLAUDE, action, "why").output) == {
        "hookSpecificOutput": {"hookEventName": "PreToolUse", **said}
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"toolName": None}, "toolName is missing"),
        ({"toolArgs": "nc"}, "toolArgs is no JSON"),
        ({"toolArgs": "3"}, "toolArgs is no object"),
        ({"sessionId": 3}, "sessionId is no text"),
    ],
)
def test_what_it_does_not_send_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(HookError, match=reason):
        DIALECT.read({**EVENT, **change})
