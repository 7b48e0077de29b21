"""Policies from text, and a machine whose package tools are fakes."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from firewall.policy import Policy, load_policy, sources
from firewall.requests import Command, Execute, Intent, ToolCall

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


class WordReader:
    """Reads what a test writes: words apart by blanks, commands by " ; ", files by option -o.

    curl downloads to the file after -o, cat reads its argument, "$" is not known.
    """

    def call(
        self, tool: str, arguments: Mapping[str, Any], server: str, directory: str
    ) -> ToolCall:
        text = arguments.get("command", "") if tool == "Bash" else ""
        commands = tuple(_command(each.split(), directory) for each in text.split(" ; ") if each)
        return ToolCall(
            tool, json.dumps(arguments), server=server, directory=directory, commands=commands
        )

    def program(self, argv: Sequence[str], directory: str) -> Execute:
        return Execute(argv[0], tuple(argv), directory, commands=(_command(argv, directory),))


def _command(words: Sequence[str], directory: str) -> Command:
    known = tuple(None if word == "$" else word for word in words)
    intents: list[Intent] = []
    if list(words[:2]) == ["curl", "-o"]:
        intents = [Intent("download", words[-1], words[2])]
    elif list(words[:2]) == ["curl", "-T"]:
        intents = [Intent("upload", words[-1])]
    elif list(words[:2]) == ["git", "push"]:
        intents = [Intent("git.push")]
    elif "-R" in words:
        intents = [Intent("ssh.forward-remote")]
    elif list(words[1:2]) == ["publish"]:
        intents = [Intent("package.publish")]
    reads = tuple(words[1:2]) if words[0] == "cat" else ()
    return Command(known, (), directory, tuple(intents), reads)


READER = WordReader()
