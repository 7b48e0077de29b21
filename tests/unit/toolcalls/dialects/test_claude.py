"""Claude Code's PreToolUse hook."""

import json

import pytest

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects import HookError
from firewall.toolcalls.dialects.claude import DIALECT
from firewall.verdict import Action
from tests.unit.toolcalls.dialects.events import CLAUDE


def test_a_call_is_read_with_its_id_session_and_folder() -> None:
    assert DIALECT.read(CLAUDE) == Call(
        "Bash", CLAUDE["tool_input"], "toolu_1", "claude-code", "", "s-1", "/src"
    )


def test_an_mcp_tool_names_its_server() -> None:
    call = DIALECT.read({**CLAUDE, "tool_name": "mcp__db__query", "tool_input": {"q": 1}})
    assert (call.tool, call.server, call.arguments) == ("mcp__db__query", "db", {"q": 1})


@pytest.mark.parametrize("action", [Action.DENY, Action.ASK])
def test_it_denies_and_asks_in_the_hooks_own_output(action: Action) -> None:
    reply = DIALECT.reply(CLAUDE, action, "why")
    assert (reply.status, reply.complaint) == (0, "")
    assert json.loads(reply.output) == {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": action.value,
            "permissionDecisionReason": "why",
        }
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hook_event_name": "PostToolUse"}, "install the hook for PreToolUse"),
        ({"tool_name": ""}, "tool_name is missing"),
        ({"tool_name": 3}, "tool_name is no text"),
        ({"tool_input": [1]}, "tool_input is no object"),
        ({"cwd": {}}, "cwd is no text"),
        ({"tool_use_id": 7}, "tool_use_id is no text"),
    ],
)
def test_what_it_does_not_send_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(HookError, match=reason):
        DIALECT.read({**CLAUDE, **change})
