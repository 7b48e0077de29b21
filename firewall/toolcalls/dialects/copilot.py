"""Copilot CLI: the preToolUse hook, natively in camelCase; under a PascalCase event in the shape of
Claude Code (copilot-cli changelog, 1.0.6 and 1.0.21)."""

from collections.abc import Mapping
from typing import Any

from firewall.toolcalls.calls import Call
from firewall.toolcalls.dialects import claude
from firewall.toolcalls.dialects.reply import Dialect, Reply, arguments, printed, required, text


def read(event: Mapping[str, Any]) -> Call:
    if "tool_name" in event:
        return claude.read_as("copilot", event)
    return Call(
        required(event, "toolName"),
        arguments(event, "toolArgs"),
        text(event, "toolCallId") or None,
        "copilot",
        session=text(event, "sessionId"),
        directory=text(event, "cwd", "workingDirectory"),
    )


def deny(event: Mapping[str, Any], reason: str) -> Reply:
    return _decide("deny", event, reason)


def ask(event: Mapping[str, Any], reason: str) -> Reply:
    return _decide("ask", event, reason)


def _decide(decision: str, event: Mapping[str, Any], reason: str) -> Reply:
    if "tool_name" in event:
        return claude.decide(decision, reason)
    return printed({"permissionDecision": decision, "permissionDecisionReason": reason})


DIALECT = Dialect(read, deny, ask)
