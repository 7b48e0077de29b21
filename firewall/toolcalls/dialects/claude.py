"""Claude Code: the PreToolUse hook (Agent SDK, types.py: PreToolUseHookInput and its output)."""

from collections.abc import Mapping
from typing import Any

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects.reply import (
    Dialect,
    HookError,
    Reply,
    arguments,
    printed,
    required,
    server_of,
    text,
)

EVENT = "PreToolUse"


def read(event: Mapping[str, Any]) -> Call:
    return read_as("claude-code", event)


def read_as(agent: str, event: Mapping[str, Any]) -> Call:
    """A call in the shape of Claude Code, which other agents have taken over."""
    name = text(event, "hook_event_name", "event_type")
    if name not in (EVENT, ""):
        raise HookError(f"the event {name!r} is none before a tool; install the hook for {EVENT}")
    tool = required(event, "tool_name")
    return Call(
        tool,
        arguments(event, "tool_input"),
        text(event, "tool_use_id") or None,
        agent,
        server_of(tool, "mcp__"),
        text(event, "session_id"),
        text(event, "cwd", "working_dir"),
    )


def deny(event: Mapping[str, Any], reason: str) -> Reply:
    return decide("deny", reason)


def ask(event: Mapping[str, Any], reason: str) -> Reply:
    return decide("ask", reason)


def decide(decision: str, reason: str) -> Reply:
    return printed(
        {
            "hookSpecificOutput": {
                "hookEventName": EVENT,
                "permissionDecision": decision,
                "permissionDecisionReason": reason,
            }
        }
    )


DIALECT = Dialect(read, deny, ask)
