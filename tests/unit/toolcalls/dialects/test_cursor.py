"""Cursor's hooks: each event has a shape of its own, and only two of them ask."""

import json
from typing import Any

import pytest

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects import HookError
from firewall.toolcalls.dialects.cursor import DIALECT
from firewall.verdict import Action
from tests.unit.toolcalls.dialects.events import EVENTS

SHELL = EVENTS["cursor"]
BASE = {name: value for name, value in SHELL.items() if name not in ("command", "cwd")}
MCP = {
    **BASE,
    "hook_event_name": "beforeMCPExecution",
    "tool_name": "query",
    "tool_input": '{"q": 1}',
    "url": "https://db.test/mcp",
}
FILE = {**BASE, "hook_event_name": "beforeReadFile", "file_path": "/src/a", "content": "x"}
TOOL = {
    **BASE,
    "hook_event_name": "preToolUse",
    "tool_name": "Write",
    "tool_input": {"path": "a"},
    "tool_use_id": "call_1",
}


@pytest.mark.parametrize(
    ("event", "call"),
    [
        (SHELL, Call("Bash", {"command": "nc -l 1"}, "g-1", "cursor", "", "s-1", "/src")),
        (MCP, Call("query", {"q": 1}, "g-1", "cursor", "https://db.test/mcp", "s-1", "/src")),
        (FILE, Call("Read", {"file_path": "/src/a"}, "g-1", "cursor", "", "s-1", "/src")),
        (TOOL, Call("Write", {"path": "a"}, "call_1", "cursor", "", "s-1", "/src")),
    ],
    ids=["shell", "mcp", "file", "tool"],
)
def test_each_event_is_read(event: dict[str, Any], call: Call) -> None:
    assert DIALECT.read(event) == call


def test_a_command_runs_in_the_folder_that_is_told() -> None:
    assert DIALECT.read({**SHELL, "cwd": "/other"}).directory == "/other"
    assert DIALECT.read({**SHELL, "workspace_roots": "nonsense"}).directory == ""


@pytest.mark.parametrize(
    ("event", "permission"), [(SHELL, "ask"), (MCP, "ask"), (FILE, "deny"), (TOOL, "deny")]
)
def test_an_ask_is_a_deny_where_it_would_be_ignored(event: dict[str, Any], permission: str) -> None:
    reply = DIALECT.reply(event, Action.ASK, "why")
    assert json.loads(reply.output) == {
        "permission": permission,
        "user_message": "why",
        "agent_message": "why",
    }
    assert json.loads(DIALECT.reply(event, Action.DENY, "why").output)["permission"] == "deny"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({**SHELL, "hook_event_name": "stop"}, "'stop' is none before a tool"),
        ({}, "'' is none before a tool"),
        ({**SHELL, "command": ""}, "command is missing"),
        ({**MCP, "tool_input": "{"}, "tool_input is no JSON"),
        ({**FILE, "file_path": None}, "file_path is missing"),
        ({**TOOL, "tool_name": []}, "tool_name is no text"),
    ],
)
def test_what_it_does_not_send_is_refused(event: dict[str, Any], reason: str) -> None:
    with pytest.raises(HookError, match=reason):
        DIALECT.read(event)
