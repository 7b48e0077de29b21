"""Policies from text, and a machine whose package tools are fakes."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from firewall.policy import Policy, load_policy, sources

type Write = Callable[[str], Policy]


@pytest.fixture
def policy(tmp_path: Path) -> Write:
    """Load a policy from the text below `version` and `name`."""

    def write(text: str) -> Policy:
        path = tmp_path / "test.yaml"
        path.write_text("version: 1\nname: test\n" + dedent(text))
        return load_policy(path)

    return write


class Machine:
    """A machine on which only what a test puts there is installed."""

    def __init__(self, root: Path) -> None:
        self.bin, self.home, self.work = (root / name for name in ("bin", "home", "work"))
        for folder in (self.bin, self.home, self.work):
            folder.mkdir()

    def tool(self, name: str, script: str) -> None:
        """Install a fake tool: a shell script."""
        path = self.bin / name
        path.write_text("#!/bin/sh\n" + dedent(script))
        path.chmod(0o755)

    def pip(self, settings: Mapping[str, str], index: str = "https://index.example/simple") -> None:
        """Install a fake pip that carries `index`, whose files are at files.example."""
        answer = {"settings": settings, "indexes": [[index, "files.example"]]}
        self.tool("pip", "exit 1\n")
        self.tool("python", f"echo '{json.dumps(answer)}'\n")

    def npm(self, settings: Mapping[str, str]) -> None:
        """Install a fake npm with these settings."""
        self.tool("npm", f"echo '{json.dumps(settings)}'\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine without any tools: nothing on the PATH, an empty home and working directory."""
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setenv("HOME", str(made.home))
    for name in [name for name in os.environ if name.startswith(("UV_", "CARGO_", "XDG_CONFIG"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(made.work)
    sources.forget()
    yield made
    sources.forget()
