"""Every command line in docs/ and deploy/ is one that the firewall takes, option by option."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from firewall.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*.md")]
)
_COMMAND = r"((?:[A-Z_]+=\S+ )*(?:uv run )?firewall [a-z][^`\n]*)"
_LINES = re.compile(rf"^ {{4,}}{_COMMAND}|`{_COMMAND}`", re.MULTILINE)
_CONTINUED = re.compile(r"\\\n\s*")


def lines() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = _CONTINUED.sub("", page.read_text())
        found += [(page.name, (block or word).strip()) for block, word in _LINES.findall(text)]
    return list(dict.fromkeys(found))


def test_there_are_command_lines() -> None:
    assert len(lines()) > 20


@pytest.mark.parametrize(("page", "line"), lines())
def test_a_command_line_is_one_that_there_is(page: str, line: str) -> None:
    words = shlex.split(line.replace("'", "").partition("  #")[0].partition(" # ")[0])
    words = words[words.index("firewall") + 1 :]
    own = words[: words.index("--")] if "--" in words else words
    command, output = _longest(own)
    assert command, line
    options = [each.partition("=")[0] for each in own if each.startswith("--")]
    assert [each for each in options if each not in output] == []


OTHERS = {
    "--cert", "--cost", "--files", "--net", "--network", "--other", "--peers",
    "--requests", "--rounds", "--seconds", "--set", "--shape", "--subject", "--write",
}  # fmt: skip
"""Options of other programs, and of the benchmarks."""


def options() -> dict[str, str]:
    """Every option that a page names, and one of the pages that do."""
    found = re.compile(r"(?<=[ `(\[])(--[a-z]+(?:-[a-z]+)*)")
    return {option: page.name for page in PAGES for option in found.findall(page.read_text())}


@pytest.fixture(scope="module")
def known() -> set[str]:
    """The options of all commands."""
    commands = [typer.main.get_command(app)]
    for each in commands:
        commands += getattr(each, "commands", {}).values()
    return {name for each in commands for option in each.params for name in option.opts}


def test_an_option_is_one_that_there_is(known: set[str]) -> None:
    named = options()
    assert len(named) > 30
    assert {option: named[option] for option in named.keys() - known - OTHERS} == {}


def _longest(words: list[str]) -> tuple[list[str], str]:
    """The subcommand that the first words name, and its help."""
    names = list(takewhile(lambda word: re.fullmatch("[a-z][a-z-]*", word), words))
    for count in (3, 2, 1):
        command = names[:count]
        result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
        if command and result.exit_code == 0:
            return command, result.output
    return [], ""
