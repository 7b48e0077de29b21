"""The grammar beside bash itself and beside shfmt, which is another parser of the same language."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firewall.commands import read_shell
from firewall.commands.bash.grammar import parse

TEXTS = (Path(__file__).with_name("texts.txt")).read_text().splitlines()
BYPASSES = Path(__file__).parents[1] / "shell_bypasses.jsonl"
ALL = [text.replace("\\n", "\n") for text in TEXTS] + [
    json.loads(line)["command"] for line in BYPASSES.read_text().splitlines()
]
SHFMT = Path(sys.executable).with_name("shfmt")


def _accepted(text: str) -> bool:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return done.returncode == 0


def _literal(word: dict[str, Any]) -> str | None:
    """A word of shfmt's tree without its quotes; None where it holds an expansion."""
    text = ""
    for part in word.get("Parts", []):
        match part["Type"]:
            case "Lit":
                text += re.sub(r"\\(.)", r"\1", part.get("Value", ""), flags=re.DOTALL)
            case "SglQuoted" if not part.get("Dollar"):
                text += part.get("Value", "")
            case _:
                return None
    return text


def _programs(node: object) -> list[str]:
    found: list[str] = []
    if isinstance(node, dict):
        if node.get("Type") == "CallExpr" and node.get("Args"):
            name = _literal(node["Args"][0])
            found += [name] if name is not None and "{" not in name else []
        for value in node.values():
            found += _programs(value)
    elif isinstance(node, list):
        for value in node:
            found += _programs(value)
    return found


@pytest.mark.parametrize("text", ALL)
def test_what_bash_refuses_is_refused_and_what_it_accepts_is_read(text: str) -> None:
    _, error = parse(text)
    assert (error is None) == _accepted(text)


@pytest.mark.parametrize("text", [text for text in ALL if parse(text)[1] is None])
def test_programs_agree_with_another_parser(text: str) -> None:
    command = [str(SHFMT), "-tojson"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("the other parser refuses what bash accepts")
    found = {command.words[0] for command in read_shell(text).commands if command.words}
    assert set(_programs(json.loads(done.stdout))) <= found


@pytest.mark.parametrize("text", ["ls !(x)", "echo ${ id; }", "[[ x == @(a|b) ]]"])
def test_what_is_not_supported_is_refused(text: str) -> None:
    _, error = parse(text)
    assert error is not None
