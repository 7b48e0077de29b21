"""What a server's tools looked like when they were first seen: trust on first use.

A description is text that the model obeys, so a server that changes one later (a "rug pull") loses
the tool until a person has looked at the difference.
"""

import difflib
import fcntl
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COUNT = 4096
"""Tools that are remembered of a server; more are hidden."""
SHOWN = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""The members of a tool that tell a model what it is (MCP schema, `Tool`)."""

type Definition = Mapping[str, Any]


class Book:
    """What is known of a server's tools: as `approved`, and as they are now where they `changed`.

    Read anew for each question, since other proxies of the same server, and people, change it.
    """

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self.approved: dict[str, Definition] = dict(kept.get("approved", {}))
        self.changed: dict[str, Definition] = dict(kept.get("changed", {}))

    def dump(self) -> str:
        return json.dumps({"approved": self.approved, "changed": self.changed})

    def stands(self, tool: Definition) -> bool:
        """Whether a tool is as it was approved, or is seen for the first time."""
        name, now = tool["name"], shown(tool)
        if name not in self.approved and len(self.approved) >= COUNT:
            return False
        if _text(self.approved.setdefault(name, now)) == _text(now):
            self.changed.pop(name, None)
            return True
        self.changed[name] = now
        return False


class Pins:
    """The tools of `server` as approved, in a file of `folder`."""

    def __init__(self, folder: Path, server: str) -> None:
        name = re.sub(r"[^A-Za-z0-9_-]", lambda found: f"%{ord(found[0]):x}", server)
        self._path = folder / f"{name}.json"
        self._server = server

    def changed(self, tool: str) -> str | None:
        """Why a tool may not be called: it has changed, or what was approved cannot be read."""
        try:
            if tool not in self.read().changed:
                return None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            return f"Blocked by the firewall: {self._path} cannot be read: {error}"
        accept = f"firewall mcp trust {self._server} {tool}"
        return (
            f"Blocked by the firewall: {tool} of {self._server} is not as it was when it was"
            f" approved; `{accept}` shows the difference and accepts it"
        )

    def hidden(self, tools: Sequence[Definition]) -> Collection[str]:
        """The names of the tools that may not be shown. Raises where they cannot be remembered."""
        with self._open() as book:
            return {tool["name"] for tool in tools if not book.stands(tool)}

    def accept(self, changed: Mapping[str, Definition]) -> None:
        """Approve what a person has seen, and nothing that came later."""
        with self._open() as book:
            for name, definition in changed.items():
                book.approved[name] = definition
                if _text(book.changed.get(name)) == _text(definition):
                    del book.changed[name]

    def read(self) -> Book:
        """What is known. Raises OSError, ValueError, TypeError or AttributeError."""
        try:
            return Book(json.loads(self._path.read_text()))
        except FileNotFoundError:
            return Book({})

    @contextmanager
    def _open(self) -> Iterator[Book]:
        """The book, to be changed by one process at a time."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            book = self.read()
            before = book.dump()
            yield book
            if (after := book.dump()) != before:
                self._save(after)

    def _save(self, text: str) -> None:
        draft = self._path.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        draft.replace(self._path)


def shown(tool: Definition) -> Definition:
    """What of a tool models are shown."""
    return {name: tool[name] for name in SHOWN if name in tool}


def difference(old: Definition, new: Definition) -> str:
    """Both definitions compared, in ASCII, so that nothing in them hides from who reads it."""
    before, after = (json.dumps(each, indent=2, sort_keys=True).splitlines() for each in (old, new))
    return "\n".join(difflib.unified_diff(before, after, "approved", "now", lineterm=""))


def _text(definition: Definition | None) -> str:
    """As text, because 1 equals true in Python but not to a schema."""
    return json.dumps(definition, sort_keys=True)
