"""A tool call on its way to the judge: from what an integration reports to a typed request."""

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from firewall.commands import Reading, left_to_the_network, read_argv, read_shell
from firewall.frozen import frozen
from firewall.requests import Finding, Opaque, ToolCall
from firewall.verdict import Verdict

SHELL_ARGUMENTS: Mapping[str, str] = {
    # Claude Code, and Anthropic's own bash tool; inspect_ai and Amp call its argument cmd
    **dict.fromkeys(("Bash", "bash", "Monitor"), "command"),
    # Codex
    **dict.fromkeys(("shell", "shell_command", "local_shell"), "command"),
    **dict.fromkeys(("container.exec", "exec_command"), "cmd"),
    # Gemini CLI, Cursor, OpenHands
    **dict.fromkeys(("run_shell_command", "Shell", "run_terminal_cmd"), "command"),
    **dict.fromkeys(("execute_bash", "terminal"), "command"),
    # Copilot in the editor, Cline, Continue, Goose, Factory
    **dict.fromkeys(("run_in_terminal", "execute_command", "run_terminal_command"), "command"),
    **dict.fromkeys(("developer__shell", "Execute"), "command"),
}
"""The tools whose argument is a command: text for a shell, or a list of words."""
UNREADABLE = "__unreadable__"
"""The only argument of a call whose arguments are no JSON object: their text."""
_SPELLINGS = ("command", "cmd")
NONE: Mapping[str, str] = {}


@frozen
class Call:
    """A tool call as an integration reports it; see `ToolCall` for what the fields mean."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    call_id: str | None = None
    agent: str = ""
    server: str = ""
    session: str = ""
    directory: str = ""


def request_of(call: Call, commands: Mapping[str, str] = NONE) -> ToolCall:
    """What the judge is asked. `commands` names more tools whose argument is a command, as the
    policy does. Never raises."""
    reading = _read(call, {**SHELL_ARGUMENTS, **commands})
    return ToolCall(
        call.tool,
        _text(call),
        call.call_id,
        tuple(each for each in reading.findings if _is_told_here(each)),
        call.agent,
        call.server,
        call.session,
        call.directory,
        reading.commands,
        reading.opaque,
    )


def _text(call: Call) -> str:
    """The arguments as JSON; what cannot be read as it came, so that a deny holds for it."""
    unread = _unread(call)
    return unread or json.dumps(call.arguments, ensure_ascii=False, default=str)


def _unread(call: Call) -> str:
    value = call.arguments.get(UNREADABLE) if len(call.arguments) == 1 else None
    return value if isinstance(value, str) else ""


def explain(verdict: Verdict) -> str:
    """What the agent is told of a call that does not run, so that it can do better."""
    lines = [f"Blocked by the firewall: {verdict.reason}", f"rule: {verdict.rule}"]
    if verdict.owner:
        lines.append(f"owner: {verdict.owner}")
    if verdict.remedy:
        lines.append(f"to allow it: {verdict.remedy}")
    return "\n".join(lines)


def _is_told_here(finding: Finding) -> bool:
    """A forward out may be allowed where it leads; a door back in never is, and is told at once."""
    return finding.kind == "ssh-reverse-forwarding" or not left_to_the_network(finding)


def _read(call: Call, commands: Mapping[str, str]) -> Reading:
    """A tool of commands may spell its argument otherwise: all of them count, as it takes any."""
    name = commands.get(call.tool)
    if name and (unread := _unread(call)):
        return Reading(opaque=(Opaque("the arguments are no JSON object", unread[:200]),))
    names = dict.fromkeys((name, *_SPELLINGS) if name else ())
    given = [call.arguments[each] for each in names if call.arguments.get(each) is not None]
    readings = [_read_one(each, call.directory) for each in given]
    return Reading(
        tuple(command for reading in readings for command in reading.commands),
        tuple(opaque for reading in readings for opaque in reading.opaque),
        tuple(finding for reading in readings for finding in reading.findings),
    )


def _read_one(given: Any, directory: str) -> Reading:
    match given:
        case str(text):
            return read_shell(text, directory)
        case [*words] if all(isinstance(word, str) for word in words):
            return read_argv(words, directory)
    return Reading(opaque=(Opaque("the command is neither a text nor a list of words"),))
