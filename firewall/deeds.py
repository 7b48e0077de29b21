"""What an agent did, in a form that later rules can refer to: downloaded X, read Y, sent to Z.

A deed is derived from what was allowed, so it tells what was about to happen. Paths are normalised
and absolute where the working directory is known; "~/..." stays as it is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from json import loads
from posixpath import join, normpath
from types import MappingProxyType
from typing import Any, Literal

from firewall.frozen import frozen
from firewall.requests import Command, Execute, HttpRequest, Request, SshChannel, ToolCall

type Did = Literal["download", "read", "write", "upload", "run"]

_BODIES = frozenset({"POST", "PUT", "PATCH"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "source", "."})
_INTERPRETERS = ("python", "pypy", "perl", "ruby", "node", "php", "lua", "Rscript")
_FILE_TOOLS: Mapping[str, Did] = {
    "Read": "read",
    "read_file": "read",
    "view": "read",
    "Write": "write",
    "write_file": "write",
    "create_file": "write",
    "Edit": "write",
    "MultiEdit": "write",
    "NotebookEdit": "write",
    "edit_file": "write",
    "StrReplace": "write",
    "TabWrite": "write",
    "replace": "write",
}
"""Tools that name their file: of Claude Code, Gemini CLI, Cursor and the MCP file server."""

_FILE_ARGUMENTS = ("file_path", "absolute_path", "path", "notebook_path", "target_file")


@frozen
class Deed:
    """One thing done. `object` is a path, or the host of an upload; "" where it is not known.

    `at` is when, in seconds of the machine's monotonic clock, which all its processes share; 0.0
    until it is remembered.
    """

    what: Did
    object: str
    at: float = 0.0


@frozen
class Past:
    """What was done before a request: for each kind of deed, its objects and when each was last.

    `today` is the day of the request in UTC (ISO 8601), "" where nobody told it.
    """

    now: float = 0.0
    deeds: Mapping[Did, Mapping[str, float]] = field(default_factory=lambda: MappingProxyType({}))
    today: str = ""


NOTHING = Past()


def deeds(request: Request) -> tuple[Deed, ...]:
    """What is done where a request is carried out. Never raises."""
    match request:
        case Execute():
            ran = (Deed("run", path) for path in (request.path, request.script) if path)
            told = (each for command in request.commands for each in command_deeds(command))
            return tuple(dict.fromkeys((*ran, *told)))
        case ToolCall():
            told = (each for command in request.commands for each in command_deeds(command))
            return tuple(dict.fromkeys((*_tool_deeds(request), *told)))
        case HttpRequest() if not _BODIES.isdisjoint(_methods(request)):
            return (Deed("upload", request.host),)
        case SshChannel(kind="write-file"):
            return (Deed("upload", request.host),)
    return ()


def _methods(request: HttpRequest) -> Iterator[str]:
    """All that servers may take for the method."""
    yield request.method.upper()
    yield from (each.method for each in request.overrides)


def command_deeds(command: Command) -> Iterator[Deed]:
    """What one command does: the files that it names, where it sends to, and what it runs."""
    where = command.directory
    for intent in command.intents:
        if intent.name == "upload":
            yield Deed("upload", intent.target)
        elif intent.name == "download":
            files = (intent.detail, *command.writes) if intent.detail else command.writes
            yield from (Deed("download", resolve(file, where)) for file in files or ("",))
    yield from (Deed("read", resolve(path, where)) for path in command.reads)
    yield from (Deed("write", resolve(path, where)) for path in command.writes)
    yield from (Deed("run", path) for path in runs(command))


def runs(command: Command) -> tuple[str, ...]:
    """The files that a command runs: its program where that is a path, and an interpreter's
    script."""
    program = command.words[0] if command.words else None
    if program is None:
        return ()
    name = program.rpartition("/")[2]
    files = [program] if "/" in program else []
    if name in _SHELLS or name.startswith(_INTERPRETERS):
        files += _script(command.words[1:])
    return tuple(resolve(file, command.directory) for file in files)


def _script(arguments: Sequence[str | None]) -> list[str]:
    """The first argument that is no option; none where the code itself is an argument."""
    for word in arguments:
        if word is None or word in ("-c", "-e", "-m", "-"):
            return []
        if not word.startswith("-"):
            return [word]
    return []


def resolve(path: str, directory: str) -> str:
    """A path as a rule sees it.

    >>> resolve("../x", "/src/a"), resolve("~/.ssh/id", "/src"), resolve(".env", "")
    ('/src/x', '~/.ssh/id', './.env')
    """
    if not path or path.startswith("~"):
        return path
    whole = join(directory, path)
    return normpath(whole) if whole.startswith("/") else f"./{normpath(whole)}"


def _tool_deeds(call: ToolCall) -> tuple[Deed, ...]:
    did = _FILE_TOOLS.get(call.tool)
    path = tool_file(call.arguments) if did else ""
    return (Deed(did, resolve(path, call.directory)),) if did and path else ()


def tool_file(arguments: str) -> str:
    """The file that the arguments of a file tool name, or ""."""
    try:
        value: Any = loads(arguments)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(value, dict):
        return ""
    named = (value.get(name) for name in _FILE_ARGUMENTS)
    return next((each for each in named if isinstance(each, str)), "")
