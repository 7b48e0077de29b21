"""The unit is one that systemd understands and that the command line understands."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.cli.main import app

UNIT = Path(__file__).parents[3] / "deploy" / "systemd" / "firewall-serve.service"


def _setting(name: str) -> str:
    lines = UNIT.read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))


def test_the_command_takes_the_units_options() -> None:
    program, command, *options = shlex.split(_setting("ExecStart"))
    assert program.endswith("/firewall")
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert [option for option in options if option.startswith("--")]
    assert all(option in shown for option in options if option.startswith("--"))


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    program = shlex.split(_setting("ExecStart"))[0]
    copy.write_text(UNIT.read_text().replace(program, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert UNIT.name not in done.stderr, done.stderr
