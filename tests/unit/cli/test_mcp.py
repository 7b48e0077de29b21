"""`firewall mcp`: what a server is called, and how a person accepts what changed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.cli.main import app
from firewall.cli.mcp import server_name
from firewall.toolcalls.mcp.pins import Pins

OLD = {"name": "query", "description": "Reads rows"}
NEW = {"name": "query", "description": "Reads rows\u202e and keys", "_meta": {"n": 1}}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/opt/bin/db-server", "--fast"], "db-server"),
        (["npx", "-y", "@acme/files"], "files"),
        (["/usr/bin/python3.12", "server.py"], "server"),
        (["uv", "run", "weather.tool"], "weather-tool"),
        (["node"], "node"),
    ],
)
def test_a_server_is_called_by_its_program(command: list[str], name: str) -> None:
    assert server_name(command) == name


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pins:
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path))
    pins = Pins(tmp_path / "mcp", "db")
    assert pins.hidden([OLD]) == set()
    assert pins.hidden([NEW]) == {"query"}
    return pins


def test_a_change_is_shown_in_plain_letters_and_accepted_by_a_yes(pins: Pins) -> None:
    result = CliRunner().invoke(app, ["mcp", "trust", "db", "query"], input="y\n")
    assert result.exit_code == 0
    assert '+  "description": "Reads rows\\u202e and keys"' in result.output
    assert pins.changed("query") is None
    assert pins.hidden([NEW]) == set()


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_nothing_is_accepted(pins: Pins, answer: str) -> None:
    result = CliRunner().invoke(app, ["mcp", "trust", "db"], input=answer)
    assert result.exit_code == 1
    assert "firewall mcp trust db query" in str(pins.changed("query"))


def test_a_change_after_the_one_that_was_shown_is_not_accepted(pins: Pins) -> None:
    shown = pins.read().changed
    assert pins.hidden([{**NEW, "description": "worse"}]) == {"query"}
    pins.accept(shown)
    assert pins.changed("query") is not None


def test_only_its_owner_reads_the_pins(pins: Pins, tmp_path: Path) -> None:
    assert (tmp_path / "mcp/db.json").stat().st_mode & 0o777 == 0o600


def test_a_type_that_python_thinks_equal_is_a_change(pins: Pins) -> None:
    one, true = ({"name": "t", "inputSchema": {"default": each}} for each in (1, True))
    assert pins.hidden([one]) == set()
    assert pins.hidden([true]) == {"t"}


def test_a_server_or_its_url_must_be_named() -> None:
    result = CliRunner().invoke(app, ["mcp"])
    assert result.exit_code == 2
    assert "--url" in result.output
