"""What a server's tools looked like when they were first seen: trust on first use.

A description is text that the model obeys, so a server that changes one later (a "rug pull") loses
the tool until a person has looked at the difference.
"""

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

COUNT = 4096
"""Tools that are remembered of a server; more are hidden."""


class Pins:
    """The tools of `server` as approved, in a file of `folder`. Raises OSError or ValueError."""

    def __init__(self, folder: Path, server: str) -> None:
        name = re.sub(r"[^A-Za-z0-9_-]", lambda found: f"%{ord(found[0]):x}", server)
        self._path = folder / f"{name}.json"
        self._server = server
        kept = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._approved: dict[str, Any] = kept.get("approved", {})
        self._changed: dict[str, Any] = kept.get("changed", {})

    def changed(self, tool: str) -> str | None:
        """Why a tool may not be called, where it is no longer the one that was approved."""
        if tool not in self._changed:
            return None
        accept = f"firewall mcp trust {self._server} {tool}"
        return (
            f"Blocked by the firewall: {tool} of {self._server} is not as it was when it was"
            f" approved; `{accept}` shows the difference and accepts it"
        )

    def filter(self, message: Any) -> bool:
        """Take changed tools out of a `tools/list` result, in place; whether any was."""
        result = message.get("result") if isinstance(message, dict) else None
        tools = result.get("tools") if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(tools, list):
            return False
        before = json.dumps([self._approved, self._changed])
        result["tools"] = [tool for tool in tools if self._stands(tool)]
        if json.dumps([self._approved, self._changed]) != before:
            self._save()
        return len(result["tools"]) < len(tools)

    def trust(self, tool: str | None = None) -> str:
        """Accept what changed, of one tool or all; the difference, as text."""
        names = [name for name in self._changed if tool in (None, name)]
        texts = [self._difference(name) for name in names]
        for name in names:
            self._approved[name] = self._changed.pop(name)
        self._save()
        return "\n".join(texts)

    def _stands(self, tool: Any) -> bool:
        name = tool.get("name") if isinstance(tool, dict) else None
        if not isinstance(name, str):
            return False
        if name not in self._approved and len(self._approved) >= COUNT:
            return False
        if self._approved.setdefault(name, tool) == tool:
            self._changed.pop(name, None)
            return True
        self._changed[name] = tool
        return False

    def _difference(self, name: str) -> str:
        old, new = (
            json.dumps(each[name], indent=2, sort_keys=True).splitlines()
            for each in (self._approved, self._changed)
        )
        return "\n".join(difflib.unified_diff(old, new, "approved", "now", lineterm=""))

    def _save(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps({"approved": self._approved, "changed": self._changed})
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.write_text(text)
        draft.replace(self._path)
