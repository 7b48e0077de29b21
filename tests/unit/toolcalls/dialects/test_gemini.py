"""Gemini CLI's BeforeTool hook."""

import json

import pytest

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects import HookError
from firewall.toolcalls.dialects.gemini import DIALECT
from firewall.verdict import Action
from tests.unit.toolcalls.dialects.events import EVENTS

EVENT = EVENTS["gemini"]


def test_a_call_is_read() -> None:
    given = EVENT["tool_input"]
    assert DIALECT.read(EVENT) == Call(
        "run_shell_command", given, None, "gemini", "", "s-1", "/src"
    )


def test_a_command_runs_in_its_own_folder_and_a_tool_names_its_server() -> None:
    given = {"command": "ls", "dir_path": "/src/sub"}
    assert DIALECT.read({**EVENT, "tool_input": given}).directory == "/src/sub"
    assert DIALECT.read({**EVENT, "tool_name": "mcp_db_query"}).server == "db"


@pytest.mark.parametrize("action", [Action.DENY, Action.ASK])
def test_whatever_is_no_allow_is_a_deny(action: Action) -> None:
    reply = DIALECT.reply(EVENT, action, "why")
    assert reply.status == 0
    assert json.loads(reply.output) == {"decision": "deny", "reason": "why", "systemMessage": "why"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hook_event_name": "AfterTool"}, "install the hook for BeforeTool"),
        ({"tool_name": None}, "tool_name is missing"),
        ({"tool_input": {"dir_path": 3}}, "dir_path is no text"),
    ],
)
def test_what_it_does_not_send_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(HookError, match=reason):
        DIALECT.read({**EVENT, **change})
