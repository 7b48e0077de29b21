from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from firewall.cli.main import app

POLICY = """version: 1
name: half
extends: [base]
network:
  rules:
    - {name: git, allow: https, hosts: [git.example]}
    - {name: docs, allow: https, hosts: [docs.example]}
"""
CASES = 'cases: [{https: "GET https://git.example/", expect: allow, rule: git}]'


@pytest.fixture
def half(tmp_path: Path) -> str:
    (tmp_path / "half.yaml").write_text(POLICY)
    (tmp_path / "half.test.yaml").write_text(CASES)
    return str(tmp_path / "half.yaml")


def coverage(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", "coverage", *arguments])


def test_what_no_case_exercises_is_told_with_its_line(half: str) -> None:
    result = coverage(half)
    assert result.exit_code == 1
    assert result.stderr == (
        "half.yaml:7: no case exercises docs;"
        ' write: {https: "GET https://.../", expect: ..., rule: docs}\n'
    )
    assert "1 of 2 rules are exercised" in result.stdout


@pytest.mark.parametrize(("least", "status"), [("50", 0), ("51", 1)])
def test_a_part_may_be_enough(half: str, least: str, status: int) -> None:
    assert coverage(half, "--at-least", least).exit_code == status


def test_a_policy_or_cases_that_are_wrong(half: str) -> None:
    Path(half).with_suffix(".test.yaml").write_text("cases: [{expect: allow}]")
    result = coverage("none-such", half)
    assert result.exit_code == 1
    assert "there is no preset" in result.stderr
    assert "a case asks exactly one thing" in result.stderr


def test_what_is_shown_is_what_was_asked() -> None:
    asked = "shell: ssh -R 1:a:2 h"
    result = CliRunner().invoke(app, ["policy", "explain", "--policy", "base", asked])
    assert asked in result.stdout
