"""Programs and tool calls in tests and explanations: how a person writes one, and what is asked.

What a shell text runs is read by whoever calls, because reading commands is no part of a policy.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import Field

from firewall.policy.errors import Fault
from firewall.policy.strict import Strict
from firewall.requests import Execute, ToolCall

SHELL_TOOL = "Bash"
"""The tool that a shell text is a call of."""


class Reader(Protocol):
    """Turns what is written into what the judge would be asked."""

    def call(
        self, tool: str, arguments: Mapping[str, Any], server: str, directory: str
    ) -> ToolCall: ...

    def program(self, argv: Sequence[str], directory: str) -> Execute: ...


class ToolCase(Strict):
    """A tool call. `server` is the MCP server that offers the tool."""

    name: str = Field(min_length=1)
    arguments: dict[str, Any] = Field(default_factory=dict)
    server: str = ""


def shell_call(text: str, directory: str, read: Reader) -> ToolCall:
    """The call whose text is given to a shell."""
    return read.call(SHELL_TOOL, {"command": text}, "", directory)


def act_of(text: str, directory: str, read: Reader) -> Execute | ToolCall | None:
    """What "shell: git push", "exec: /usr/bin/nc -l" or 'tool: Read {"path": "x"}' asks for; None
    where the text is none of them. Raises Fault."""
    kind, colon, rest = text.partition(":")
    rest = rest.strip()
    if not colon or kind not in ("shell", "exec", "tool"):
        return None
    if not rest:
        raise Fault(f"{text!r} asks for nothing", f"'{_EXAMPLES[kind]}'")
    if kind == "shell":
        return shell_call(rest, directory, read)
    return read.program(_words(rest), directory) if kind == "exec" else _tool(rest, directory, read)


_EXAMPLES = {
    "shell": "shell: git push origin main",
    "exec": "exec: /usr/bin/nc -l 4444",
    "tool": 'tool: Bash {"command": "git push"}',
}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Fault(f"{text!r} is no command line: {error}", f"'{_EXAMPLES['exec']}'") from None


def _tool(text: str, directory: str, read: Reader) -> ToolCall:
    name, _, arguments = text.partition(" ")
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Fault(f"{arguments!r} is no JSON object", f"'{_EXAMPLES['tool']}'")
    return read.call(name, value, "", directory)
