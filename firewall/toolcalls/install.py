"""Writes the hook into agents' own configuration files, and takes it out again.

Pure: from a file's text to its new text. Everything else that stands in the file stays in it. The
command ends in `|| exit 2`, so that a firewall that was moved or does not start blocks as well.

Sources: each agent's documentation of its hooks; OpenHands SDK, hooks/config.py; Copilot CLI,
changelog; for Codex also codex-rs/hooks.
"""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from firewall.frozen import frozen
from firewall.toolcalls.hook import AGENTS

SPARE_SECONDS = 15
"""What the agent waits longer than the hook itself does, so that the hook always has its say."""
BEGIN = "# begin: agent-firewall, written by `firewall hook install codex`"
END = "# end: agent-firewall"


class InstallError(ValueError):
    """A configuration file that cannot be changed safely."""


@frozen
class Target:
    """One agent's configuration.

    `folder` and `file` below the project or the home; `home` is the variable that names another
    folder for the user's. `entries` are what to add by event, with the command's place left open as
    `COMMAND`; `top` is what a new file needs besides. `limits` is what the agent cannot promise.
    """

    folder: str
    file: str
    entries: Mapping[str, Any]
    limits: str
    home: str = ""
    user_folder: str = ""
    top: Mapping[str, Any] | None = None


COMMAND = "COMMAND"


def _seconds(agent: str) -> int:
    return AGENTS[agent] + SPARE_SECONDS


def _group(handler: Mapping[str, Any], **group: str) -> dict[str, Any]:
    return {**group, "hooks": [{"type": "command", "command": COMMAND, **handler}]}


_CURSOR = {"command": COMMAND, "timeout": _seconds("cursor"), "failClosed": True}

TARGETS: Mapping[str, Target] = {
    "claude-code": Target(
        ".claude",
        "settings.json",
        {
            "PreToolUse": _group(
                {"timeout": _seconds("claude-code"), "onFailure": "block"}, matcher="*"
            )
        },
        "Claude Code before 2.1.295 does not know onFailure: there a hook that is killed, or takes"
        " too long, lets the tool run. `disableAllHooks` in its settings turns the hook off.",
        home="CLAUDE_CONFIG_DIR",
    ),
    "codex": Target(
        ".codex",
        "hooks.json",
        {"PreToolUse": _group({"timeout": _seconds("codex")})},
        "Codex runs a new or changed hook only after you trusted it: type /hooks in Codex, or no"
        " call is judged. A hook that is killed or takes too long lets the tool run; calls left to"
        " a person wait for `firewall approvals`, because Codex cannot ask in a hook.",
        home="CODEX_HOME",
    ),
    "gemini": Target(
        ".gemini",
        "settings.json",
        {
            "BeforeTool": _group(
                {"name": "agent-firewall", "timeout": _seconds("gemini") * 1000}, matcher="*"
            )
        },
        "Gemini CLI lets the tool run where a hook is killed or takes too long, and where its"
        " settings turn hooks off. Calls left to a person wait for `firewall approvals`.",
    ),
    "cursor": Target(
        ".cursor",
        "hooks.json",
        {
            "beforeShellExecution": _CURSOR,
            "beforeMCPExecution": _CURSOR,
            "beforeReadFile": _CURSOR,
            "preToolUse": {**_CURSOR, "matcher": "Write|Delete|Grep|Task"},
        },
        "Cursor is asked about its shell, MCP tools, Read, Write, Delete, Grep and Task; what other"
        " tools do is not judged. A version that does not know failClosed lets the tool run where a"
        " hook is killed or takes too long. Before Read and the tools after it Cursor cannot ask: a"
        " call left to a person is denied there.",
        top={"version": 1},
    ),
    "copilot": Target(
        ".github/hooks",
        "agent-firewall.json",
        {
            "preToolUse": {
                "type": "command",
                "bash": COMMAND,
                "timeoutSec": _seconds("copilot"),
            }
        },
        "Copilot CLI lets the tool run where a hook takes too long. Copilot's cloud agent reads the"
        " project's file as well, where no firewall is: it will be denied every tool.",
        home="COPILOT_HOME",
        user_folder=".copilot",
        top={"version": 1},
    ),
    "openhands": Target(
        ".openhands",
        "hooks.json",
        {"PreToolUse": _group({"timeout": _seconds("openhands")}, matcher="*")},
        "OpenHands lets the tool run where a hook is killed or takes too long. It reads one file"
        " only: a project's hides the user's. Calls left to a person wait for `firewall"
        " approvals`.",
    ),
}

EVERYONE = (
    "An agent that may write this file can take the hook out of it; what its programs do is held"
    " all the same where it runs under `firewall run`."
)


def command(agent: str, script: str) -> str:
    """What the agent is to run: a command for a shell."""
    return f"{shlex.quote(script)} hook {agent} || exit 2"


def installed(agent: str, text: str, script: str) -> str:
    """The JSON file's text with the hook in it, once. Raises InstallError."""
    target = TARGETS[agent]
    document = {**(target.top or {}), **_without(agent, text)}
    hooks = dict(document.get("hooks", {}))
    for event, entry in target.entries.items():
        hooks[event] = [*hooks.get(event, []), _filled(entry, command(agent, script))]
    return _written({**document, "hooks": hooks}, text)


def uninstalled(agent: str, text: str) -> str:
    """The JSON file's text without the hook; "" where nothing but it was there. Raises
    InstallError."""
    document = _without(agent, text)
    if document == _parsed(text):
        return text
    return "" if document in ({}, TARGETS[agent].top) else _written(document, text)


def installed_toml(text: str, script: str) -> str:
    """As `installed`, for a Codex config.toml whose hooks are written there already: a block at its
    end, so that comments stay. Raises InstallError."""
    handler = (
        f'type = "command"\ncommand = {json.dumps(command("codex", script), ensure_ascii=False)}\n'
        f"timeout = {_seconds('codex')}\n"
    )
    block = f"{BEGIN}\n[[hooks.PreToolUse]]\n[[hooks.PreToolUse.hooks]]\n{handler}{END}\n"
    before = uninstalled_toml(text)
    new = before + ("" if before.endswith("\n") or not before else "\n") + block
    parsed_toml(new)
    return new


def uninstalled_toml(text: str) -> str:
    """A config.toml without the block."""
    return re.sub(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}\n?", "", text, flags=re.DOTALL)


def parsed_toml(text: str) -> dict[str, Any]:
    """A config.toml as an object. Raises InstallError."""
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InstallError(f"it is no TOML, or hooks.PreToolUse no array: {error}") from error


def _without(agent: str, text: str) -> dict[str, Any]:
    """The document without the hook, and without the lists that are empty for it."""
    document = _parsed(text)
    if "hooks" not in document:
        return document
    kept = {}
    for event, entries in document["hooks"].items():
        left = _others(agent, event, entries) if event in TARGETS[agent].entries else entries
        if left or not entries:
            kept[event] = left
    rest = {name: value for name, value in document.items() if name != "hooks"}
    return {**document, "hooks": kept} if kept or not document["hooks"] else rest


def _others(agent: str, event: str, entries: Any) -> list[Any]:
    """The entries of an event that are not ours, each without the handlers in it that are."""
    if not isinstance(entries, list):
        raise InstallError(f"hooks.{event} is no list")
    left = []
    for entry in entries:
        handlers = entry.get("hooks") if isinstance(entry, dict) else None
        if isinstance(handlers, list):
            others = [each for each in handlers if not _ours(agent, each)]
            if others or not handlers:
                left.append({**entry, "hooks": others})
        elif not _ours(agent, entry):
            left.append(entry)
    return left


def _ours(agent: str, handler: Any) -> bool:
    if not isinstance(handler, dict):
        return False
    text = handler.get("command", handler.get("bash"))
    return isinstance(text, str) and bool(re.search(rf"\bfirewall'? hook {agent}\b", text))


def _filled(entry: Any, text: str) -> Any:
    """An entry with the command in its place."""
    if isinstance(entry, Mapping):
        return {name: _filled(value, text) for name, value in entry.items()}
    if isinstance(entry, list):
        return [_filled(value, text) for value in entry]
    return text if entry == COMMAND else entry


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise InstallError(f"it is no JSON (comments are none either): {error}") from error
    if not isinstance(document, dict):
        raise InstallError("it holds no JSON object")
    if not isinstance(document.get("hooks", {}), dict):
        raise InstallError("hooks is no object")
    return document


def _written(document: Mapping[str, Any], like: str) -> str:
    """JSON, indented as the file was."""
    found = re.search(r'^([ \t]+)"', like, re.MULTILINE)
    indent = found.group(1) if found else "  "
    return json.dumps(document, indent=indent, ensure_ascii=False) + "\n"
