"""Codex's PreToolUse hook, which honours a deny with a reason and nothing else."""

import json

import pytest

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects.codex import DIALECT
from firewall.verdict import Action
from tests.unit.toolcalls.dialects.events import EVENTS

EVENT = EVENTS["codex"]


def test_a_call_is_read() -> None:
    assert DIALECT.read(EVENT) == Call(
        "Bash", {"command": "nc -l 1"}, "call_1", "codex", "", "s-1", "/src"
    )


def test_a_patch_is_a_call_like_others() -> None:
    call = DIALECT.read({**EVENT, "tool_name": "apply_patch", "tool_input": {"command": "*** ..."}})
    assert (call.tool, call.arguments) == ("apply_patch", {"command": "*** ..."})


@pytest.mark.parametrize("action", [Action.DENY, Action.ASK])
def test_whatever_is_no_allow_is_a_deny_with_a_reason(action: Action) -> None:
    reply = DIALECT.reply(EVENT, action, "why")
    assert reply.status == 0
    assert json.loads(reply.output)["hookSpecificOutput"] == {
        "hookEventName": "PreToolUse",
        "permissionDecision": "deny",
        "permissionDecisionReason": "why",
    }
