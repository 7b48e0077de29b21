"""Cursor: the hooks beforeShellExecution, beforeMCPExecution, beforeReadFile and preToolUse."""

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
    text,
)


def read(event: Mapping[str, Any]) -> Call:
    session = text(event, "conversation_id")
    directory = text(event, "cwd") or _root(event)

    def call(tool: str, given: Mapping[str, Any], server: str = "") -> Call:
        call_id = text(event, "tool_use_id", "generation_id") or None
        return Call(tool, given, call_id, "cursor", server, session, directory)

    match text(event, "hook_event_name"):
        case "beforeShellExecution":
            return call("Bash", {"command": required(event, "command")})
        case "beforeMCPExecution":
            server = text(event, "url", "command")
            return call(required(event, "tool_name"), arguments(event, "tool_input"), server)
        case "beforeReadFile":
            return call("Read", {"file_path": required(event, "file_path")})
        case "preToolUse":
            return call(required(event, "tool_name"), arguments(event, "tool_input"))
        case name:
            raise HookError(f"the event {name!r} is none before a tool")


def _root(event: Mapping[str, Any]) -> str:
    roots = event.get("workspace_roots")
    return roots[0] if isinstance(roots, list) and roots and isinstance(roots[0], str) else ""


def deny(event: Mapping[str, Any], reason: str) -> Reply:
    return _decide("deny", reason)


def ask(event: Mapping[str, Any], reason: str) -> Reply:
    """Only its shell and MCP events ask; before others an ask lets the tool run."""
    asks = event.get("hook_event_name") in ("beforeShellExecution", "beforeMCPExecution")
    return _decide("ask" if asks else "deny", reason)


def _decide(permission: str, reason: str) -> Reply:
    return printed({"permission": permission, "user_message": reason, "agent_message": reason})


DIALECT = Dialect(read, deny, ask)
