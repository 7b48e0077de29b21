"""`--label` of the commands on policies: what rules with labels say is said for that run."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.audit import AuditLog
from firewall.cli.main import app
from firewall.policy import load_policy
from tests.unit.policy.records import AGENT, get, record

POLICY = """
version: 1
name: labelled
mode: observe
network:
  rules:
    - {name: ci, allow: https, hosts: [ci.test], labels: {env: ci}}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a policy, and with a log in which ci.test was asked for without a label."""
    (tmp_path / "p.yaml").write_text(POLICY)
    seen = record(1, get("ci.test"), load_policy(tmp_path / "p.yaml"))
    log = AuditLog(tmp_path / "log", "gate-0")
    log.append({key: seen[key] for key in ("kind", "request", "verdict", "actor")})
    log.close()
    return tmp_path


def _said(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["policy", *words])
    assert result.exit_code == status, result.output
    return result.output


def test_replay(here: Path) -> None:
    told = ["replay", str(here / "p.yaml"), "--log", str(here / "log")]
    assert _said(*told).startswith("0 of 1 requests")
    assert "1 others end the same by another rule" in _said(*told, "--label", "env=ci")


def test_diff(here: Path) -> None:
    (here / "none.yaml").write_text(POLICY.replace("env: ci", "env: other"))
    both = ["diff", str(here / "none.yaml"), str(here / "p.yaml"), "--log", str(here / "log")]
    assert "by another rule" not in _said(*both)
    assert "1 others end the same by another rule" in _said(*both, "--label", "env=ci")


def test_learn(here: Path) -> None:
    learned = here / "learned.yaml"
    learned.write_text(_said("learn", "--log", str(here / "log"), "--label", "env=ci"))
    assert not load_policy(learned).decide(get("ci.test"), AGENT).allowed
    assert load_policy(learned, {"env": "ci"}).decide(get("ci.test"), AGENT).allowed


@pytest.mark.parametrize("command", [["replay", "base"], ["diff", "base", "base"], ["learn"]])
def test_what_is_no_label_is_told(command: list[str], here: Path) -> None:
    said = _said(*command, "--log", str(here / "log"), "--label", "ci", status=2)
    assert "--label ci is no label; write it as --label env=ci" in said


def test_an_mcp_server_that_the_service_judges_has_the_services_labels() -> None:
    result = CliRunner().invoke(app, ["mcp", "--label", "env=ci", "--", "true"])
    assert result.exit_code == 2
    assert "labels are for --policy" in result.output
