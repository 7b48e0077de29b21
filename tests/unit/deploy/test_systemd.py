"""The units are ones that systemd understands and that the command line understands."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.cli.main import app

UNITS = sorted((Path(__file__).parents[3] / "deploy" / "systemd").glob("*.service"))

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def _setting(unit: Path, name: str) -> str:
    lines = unit.read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))


def test_there_are_units() -> None:
    assert UNITS


@each_unit
def test_the_command_takes_the_units_options(unit: Path) -> None:
    program, *words = shlex.split(_setting(unit, "ExecStart"))
    assert program.endswith("/firewall")
    options = [word for word in words if word.startswith("--")]
    commands = words[: words.index(options[0])]
    shown = CliRunner().invoke(app, [*commands, "--help"], env={"COLUMNS": "200"}).output
    assert all(option in shown for option in options)


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
@each_unit
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    program = shlex.split(_setting(unit, "ExecStart"))[0]
    copy.write_text(unit.read_text().replace(program, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert unit.name not in done.stderr, done.stderr
