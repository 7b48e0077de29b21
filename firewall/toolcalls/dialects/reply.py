"""What every dialect is made of."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from firewall.frozen import frozen
from firewall.toolcalls.calls import Call
from firewall.toolcalls.parsing import parse
from firewall.verdict import Action

BLOCK = 2
"""The exit status that blocks, in every agent whose hooks have one."""


class HookError(ValueError):
    """A hook's input that is not what its agent sends."""


@frozen
class Reply:
    """What the hook's process does: print, complain, exit."""

    output: str = ""
    complaint: str = ""
    status: int = 0


SILENCE = Reply()
"""The agent goes on as if there were no hook, its own questions to the user included."""


@frozen
class Dialect:
    """One agent's hook.

    `read` turns its input into a call; it raises HookError for what its agent does not send. `deny`
    and `ask` say no and ask with a text; an agent that cannot ask has no `ask`.
    """

    read: Callable[[Mapping[str, Any]], Call]
    deny: Callable[[Mapping[str, Any], str], Reply]
    ask: Callable[[Mapping[str, Any], str], Reply] | None = None

    def reply(self, event: Mapping[str, Any], action: Action, text: str) -> Reply:
        """The answer to an event. An ask that the agent would ignore is a deny."""
        if action is Action.ALLOW:
            return SILENCE
        if action is Action.ASK and self.ask is not None:
            return self.ask(event, text)
        return self.deny(event, text)


def printed(document: Mapping[str, Any]) -> Reply:
    return Reply(json.dumps(document) + "\n")


def text(event: Mapping[str, Any], *names: str) -> str:
    """The first of these members that is there, which must be text. Raises HookError."""
    for name in names:
        if (value := event.get(name)) is not None:
            if not isinstance(value, str):
                raise HookError(f"{name} is no text")
            return value
    return ""


def required(event: Mapping[str, Any], *names: str) -> str:
    """As `text`, but one must be there. Raises HookError."""
    if not (found := text(event, *names)):
        raise HookError(f"{names[0]} is missing")
    return found


def arguments(event: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The arguments of the tool: an object, or its JSON text. Raises HookError."""
    for name in names:
        value = event.get(name)
        if isinstance(value, str):
            try:
                value = parse(value)
            except ValueError as error:
                raise HookError(f"{name} is no JSON: {error}") from error
        if isinstance(value, dict):
            return value
        if value is not None:
            raise HookError(f"{name} is no object")
    return {}


def server_of(tool: str, prefix: str) -> str:
    """The MCP server in a tool's name such as mcp__SERVER__TOOL; "" where it is another tool."""
    if not tool.startswith(prefix):
        return ""
    separator = "__" if prefix.endswith("__") else "_"
    return tool.removeprefix(prefix).partition(separator)[0]
