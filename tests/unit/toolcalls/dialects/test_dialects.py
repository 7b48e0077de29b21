"""What holds for every agent: never a bare allow, and a no for whatever cannot be read."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.toolcalls.dialects import DIALECTS, HookError, event_of
from firewall.toolcalls.dialects.reply import BLOCK, SILENCE, Reply, arguments, server_of, text
from firewall.toolcalls.hook import AGENTS
from firewall.verdict import Action
from tests.unit.toolcalls.dialects.events import EVENTS

TEXT = st.text('a{"\\\ud800\0', max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(sorted({name for event in EVENTS.values() for name in event}))


def blocks(reply: Reply) -> bool:
    """Whether any agent's way to say no is in the reply."""
    return reply.status == BLOCK or '"deny"' in reply.output


def test_the_hook_knows_the_same_agents() -> None:
    assert list(AGENTS) == list(DIALECTS) == list(EVENTS)


@pytest.mark.parametrize("agent", DIALECTS)
def test_an_allow_says_nothing_so_that_the_users_own_question_stays(agent: str) -> None:
    assert DIALECTS[agent].reply(EVENTS[agent], Action.ALLOW, "text") == SILENCE == Reply("", "", 0)


@pytest.mark.parametrize("agent", DIALECTS)
@pytest.mark.parametrize("action", [Action.DENY, Action.ASK])
def test_what_is_no_allow_says_why_and_never_allows(agent: str, action: Action) -> None:
    reply = DIALECTS[agent].reply(EVENTS[agent], action, "nc is denied")
    assert "nc is denied" in reply.output + reply.complaint
    assert "allow" not in reply.output
    assert blocks(reply) or '"ask"' in reply.output


@pytest.mark.parametrize("agent", ["codex", "gemini", "openhands"])
def test_an_ask_is_a_deny_where_the_agent_would_run_the_tool(agent: str) -> None:
    dialect = DIALECTS[agent]
    assert dialect.ask is None
    asked = dialect.reply(EVENTS[agent], Action.ASK, "why")
    assert asked == dialect.reply(EVENTS[agent], Action.DENY, "why")
    assert blocks(asked)


@pytest.mark.parametrize("agent", DIALECTS)
def test_a_deny_needs_nothing_of_what_cannot_be_read(agent: str) -> None:
    assert blocks(DIALECTS[agent].deny({}, "unreadable"))


@pytest.mark.parametrize("agent", DIALECTS)
@given(changes=st.dictionaries(NAMES, JSON, max_size=3))
def test_any_input_is_a_call_or_a_hook_error(agent: str, changes: dict[str, Any]) -> None:
    event = {**EVENTS[agent], **changes}
    with suppress(HookError):
        call = DIALECTS[agent].read(event)
        assert call.tool
        assert call.agent == agent
        json.dumps(dict(call.arguments))


@pytest.mark.parametrize("given", [None, [], "text", 3])
def test_the_input_must_be_an_object(given: object) -> None:
    with pytest.raises(HookError, match="no JSON object"):
        event_of(given)


@pytest.mark.parametrize(
    ("value", "reason"),
    [("{", "is no JSON"), ("[]", "is no object"), ([1], "is no object"), (3, "is no object")],
)
def test_arguments_are_an_object_or_its_text(value: object, reason: str) -> None:
    with pytest.raises(HookError, match=f"tool_input {reason}"):
        arguments({"tool_input": value}, "tool_input")
    assert arguments({"tool_input": '{"a": 1}'}, "tool_input") == {"a": 1}
    assert arguments({}, "tool_input") == {}


def test_arguments_nested_without_end_are_refused() -> None:
    with pytest.raises(HookError, match="tool_input is no JSON"):
        arguments({"tool_input": "[" * 100_000}, "tool_input")


def test_a_name_twice_in_the_arguments_text_is_refused() -> None:
    with pytest.raises(HookError, match="stands twice"):
        arguments({"tool_input": '{"command": "ls", "command": "nc"}'}, "tool_input")


def test_a_text_must_be_one() -> None:
    with pytest.raises(HookError, match="cwd is no text"):
        text({"cwd": 3}, "cwd")
    assert text({"cwd": None, "working_dir": "/w"}, "cwd", "working_dir") == "/w"


def test_the_server_is_in_the_tools_name() -> None:
    assert server_of("mcp__db__query", "mcp__") == "db"
    assert server_of("mcp_db_query", "mcp_") == "db"
    assert server_of("Bash", "mcp__") == ""
