"""GPU use in test files and explanations."""

from pathlib import Path

import pytest

from firewall.cli.reader import CommandReader
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.cases import run_cases
from firewall.policy.errors import Fault
from firewall.policy.explain import explain

POLICY = """
version: 1
name: node
extends: [base]
gpu:
  expect:
    - {name: trainer, program: "*/python3", arguments: "*train.py*", sandbox: "run-*", devices: [0],
       hours: "20:00-06:00", reason: nights only}
    - {name: notebook, user: 1000}
  alert: {unexpected-sandbox: {severity: critical}}
"""
CASES = """
cases:
  - {gpu: {program: /usr/bin/python3, arguments: train.py, sandbox: run-1, at: "23:00"},
     expect: allow, rule: trainer}
  - {gpu: {program: /usr/bin/python3, arguments: train.py, at: "23:00", user: 0},
     expect: deny, rule: gpu.unexpected-sandbox, reason: not declared for this sandbox}
  - {gpu: {program: /usr/bin/python3, arguments: train.py, sandbox: run-1, at: "12:00", user: 0},
     expect: deny, rule: gpu.unexpected-process, reason: but for its hours}
  - {gpu: {program: /opt/jupyter, user: 1000, device: 3}, expect: allow, rule: notebook}
  - {gpu: {program: /tmp/xmrig, user: 0}, expect: deny, rule: gpu.unexpected-process}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "node.yaml").write_text(POLICY)
    return load_policy(tmp_path / "node.yaml")


def _failures(policy: Policy, folder: Path, cases: str) -> list[str]:
    path = folder / "node.test.yaml"
    path.write_text(cases)
    return [str(each) for each in run_cases(policy, path, CommandReader()) if not each.right]


def test_cases_ask_whether_a_process_is_declared(policy: Policy, tmp_path: Path) -> None:
    assert _failures(policy, tmp_path, CASES) == []


def test_a_wrong_case_is_told(policy: Policy, tmp_path: Path) -> None:
    case = "cases:\n  - {gpu: {program: /tmp/xmrig, user: 0}, expect: allow}\n"
    (failure,) = _failures(policy, tmp_path, case)
    assert "node.test.yaml:2: gpu /tmp/xmrig" in failure
    assert "deny by rule gpu.unexpected-process" in failure


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("{gpu: {program: /a, at: noon}, expect: deny}", "'noon' is no time of day"),
        ("{gpu: {programm: /a}, expect: deny}", "unknown key 'programm'; write: program"),
        ('{gpu: {program: /a}, tcp: "a:1", expect: deny}', "a case asks exactly one thing"),
    ],
)
def test_a_case_that_cannot_be_understood(
    policy: Policy, tmp_path: Path, case: str, told: str
) -> None:
    with pytest.raises(PolicyError, match=told):
        _failures(policy, tmp_path, f"cases:\n  - {case}\n")


def test_an_explanation_tells_every_workload(policy: Policy) -> None:
    told = explain(policy, "gpu: /usr/bin/python3 train.py --epochs 3", CommandReader())
    assert told.verdict.rule == "gpu.unexpected-process"
    assert told.verdict.source.startswith("base.yaml:")
    assert "whether it is notebook cannot be told without its user" in told.verdict.reason
    assert [(each.rule.name, each.applies) for each in told.considered] == [
        ("trainer", False),
        ("notebook", False),
    ]
    assert told.considered[0].why == "its sandbox, hours do not fit, or are not known"


def test_nothing_is_unexpected_where_nothing_is_declared() -> None:
    verdict = explain(load_policy("base"), "gpu: /tmp/x", CommandReader()).verdict
    assert (verdict.action, verdict.reason) == (
        "allow",
        "no workload is declared, so nothing is alerted",
    )


@pytest.mark.parametrize("text", ["gpu:", 'gpu: "/usr/bin'])
def test_a_process_that_is_none(policy: Policy, text: str) -> None:
    with pytest.raises(Fault, match="names no program"):
        explain(policy, text, CommandReader())
