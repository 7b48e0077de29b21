"""The hooks of agents: each agent's own JSON in, and its own way to be told no out.

Two facts shape all of them. An agent that does not understand an answer, or gets none, runs the
tool (Codex on anything but a deny; Claude Code, Copilot and Gemini on a timeout): so an `ask`
becomes a deny wherever it would be ignored. And a bare allow makes some agents skip their own
question to the user: so an allow says nothing.
"""

from collections.abc import Mapping
from typing import Any

from firewall.toolcalls.dialects import claude, codex, copilot, cursor, gemini, openhands
from firewall.toolcalls.dialects.reply import Dialect, HookError, Reply

DIALECTS: Mapping[str, Dialect] = {
    "claude-code": claude.DIALECT,
    "codex": codex.DIALECT,
    "gemini": gemini.DIALECT,
    "cursor": cursor.DIALECT,
    "copilot": copilot.DIALECT,
    "openhands": openhands.DIALECT,
}

__all__ = ["DIALECTS", "Dialect", "HookError", "Reply", "event_of"]


def event_of(body: Any) -> dict[str, Any]:
    """What a hook was given, as an object. Raises HookError."""
    if not isinstance(body, dict):
        raise HookError("the hook's input is no JSON object")
    return body
