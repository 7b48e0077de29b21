"""What a person has granted for longer than one request.

A grant is for one sandbox, one rule and one thing: a tool by its name (in one tool-call session), a
program by its real path, whatever their arguments; or for one exact command line, for the programs
that an approved call runs. Grants are files, so that every judging process of the sandbox knows
them, and end with the firewall that they were made under.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firewall.actor import Actor
from firewall.requests import Command, Execute, Request, ToolCall
from firewall.toolcalls.spool import Owner, read, write

COVER_SECONDS = 300.0
"""How long the programs of an approved call may start."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a program's name is looked up: a file that the agent brought is not what was approved."""

type Key = tuple[Any, ...]


class Grants:
    """The grants in a folder; `owner` is the firewall that they end with."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        self._folder = folder
        self._owner = owner

    def prepare(self) -> None:
        """Make the folder, and clear it of grants whose firewall has ended."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.clear()

    def clear(self, owner: Owner | None = None) -> None:
        """Remove what has ended, and what ends with `owner`."""
        for path in self._folder.glob("*.grant"):
            body = read(path)
            if body is None or not _holds(body) or _owner(body) == owner:
                path.unlink(missing_ok=True)

    def add(self, request: Request, actor: Actor, rule: str, by: str) -> None:
        """Grant the like of a request for this session."""
        self._write((actor.sandbox, rule, *subject(request)), by, None)

    def cover(self, request: Request, actor: Actor, rule: str, by: str) -> None:
        """Let the programs of an approved request start during the next minutes."""
        for line in runs(request):
            self._write((actor.sandbox, rule, *line), by, time.time() + COVER_SECONDS)

    def find(self, request: Request, actor: Actor, rule: str) -> tuple[str, bool] | None:
        """Who granted it, and whether for this session; None where nobody did."""
        for session, thing in ((True, subject(request)), (False, itself(request))):
            body = read(self._path((actor.sandbox, rule, *thing))) if thing else None
            if body is not None and _holds(body):
                return str(body.get("by", "?")), session
        return None

    def _write(self, key: Key, by: str, until: float | None) -> None:
        owner = {"pid": self._owner.pid, "started": self._owner.started}
        write(self._path(key), {"by": by, "until": until, **owner}, replace=True)

    def _path(self, key: Key) -> Path:
        return self._folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.grant"


def subject(request: Request) -> Key:
    """What a grant for a session is for; nothing where there is no such grant."""
    match request:
        case ToolCall(tool=tool, server=server, session=session):
            return ("tool", session, server, tool)
        case Execute():
            return ("program", request.path, request.script)
    return ()


def itself(request: Request) -> Key:
    """A program's own command line."""
    match request:
        case Execute(script="", path=path, argv=argv):
            return ("run", path, argv[1:])
        case Execute(script=script, argv=argv):
            return ("run", script, argv[2:])
    return ()


def runs(request: Request) -> Iterator[Key]:
    """The command lines that a request will run besides its own, as far as they are known."""
    match request:
        case ToolCall(commands=commands) | Execute(commands=(_, *commands)):
            yield from (line for each in commands if (line := _line(each)))


def _line(command: Command) -> Key:
    words = tuple(word for word in command.words if word is not None)
    if not words or len(words) < len(command.words):
        return ()
    return ("run", _real_path(words[0], command), words[1:])


def _real_path(name: str, command: Command) -> str:
    if "/" in name:
        return os.path.realpath(os.path.join(command.directory or "/", name))
    return os.path.realpath(shutil.which(name, path=PATH) or name)


def _owner(body: dict[str, Any]) -> Owner:
    return Owner(int(body.get("pid", 0)), int(body.get("started", 0)))


def _holds(body: dict[str, Any]) -> bool:
    until = body.get("until")
    return _owner(body).lives and (until is None or time.time() < float(until))
