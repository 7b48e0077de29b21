"""Gemini CLI: the BeforeTool hook (packages/core, hookRunner.ts and types.ts).

`ask` is in its types but not in its reference, and runs the tool where nobody is there: a deny.
"""

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

EVENT = "BeforeTool"


def read(event: Mapping[str, Any]) -> Call:
    name = text(event, "hook_event_name")
    if name not in (EVENT, ""):
        raise HookError(f"the event {name!r} is none before a tool; install the hook for {EVENT}")
    tool, given = required(event, "tool_name"), arguments(event, "tool_input")
    return Call(
        tool,
        given,
        None,
        "gemini",
        server_of(tool, "mcp_"),
        text(event, "session_id"),
        text(given, "dir_path") or text(event, "cwd"),
    )


def deny(event: Mapping[str, Any], reason: str) -> Reply:
    return printed({"decision": "deny", "reason": reason, "systemMessage": reason})


DIALECT = Dialect(read, deny)
