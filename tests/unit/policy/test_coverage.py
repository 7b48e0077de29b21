from collections.abc import Callable
from pathlib import Path

import pytest

from firewall.cli.reader import CommandReader
from firewall.policy import Policy, load_policy
from firewall.policy.coverage import coverage
from firewall.policy.loading import PRESETS, presets
from tests.unit.policy.conftest import READER, Machine

POLICY = """
network:
  rules:
    - {name: git, allow: https, hosts: [git.example], methods: [GET]}
    - {name: no-git, deny: https, hosts: [git.example], methods: [PUT]}
    - {name: shells, allow: ssh, hosts: [host.example], shell: true}
shell: {rules: [{name: push, ask: ["*/git"]}]}
tools: {rules: [{name: read, deny: [Read]}]}
guards: {mining: block, suspicious: alert}
"""

CASES = """
cases:
  - {https: "GET https://git.example/", expect: allow, rule: git}
  - {https: "GET https://git.example/a", expect: allow}
  - {https: "PUT https://git.example/", expect: allow, rule: no-git}
  - {tool: {name: Read, arguments: {}}, expect: deny}
  - {tcp: "x.example:1", finding: "mining stratum", expect: deny}
"""


def exercised(policy: Policy, path: Path) -> dict[str, int]:
    return {each.rule: each.cases for each in coverage(policy, path, READER)}


def test_a_rule_is_exercised_by_the_passing_cases_that_it_decides(
    tmp_path: Path, policy: Callable[[str], Policy]
) -> None:
    (tmp_path / "a.test.yaml").write_text(CASES)
    assert exercised(policy(POLICY), tmp_path / "a.test.yaml") == {
        "git": 2, "no-git": 0, "shells": 0, "push": 0, "read": 1, "guards.mining": 1,
    }  # fmt: skip


def test_without_tests_nothing_is(tmp_path: Path, policy: Callable[[str], Policy]) -> None:
    found = exercised(policy(POLICY), tmp_path / "none.test.yaml")
    assert set(found.values()) == {0}


def test_what_is_inherited_is_for_other_tests(tmp_path: Path) -> None:
    head = "version: 1\nname: {}\nextends: [{}]\nnetwork: {{rules: [{}]}}\n"
    rule = "{{name: {}, allow: https, hosts: [{}.example]}}"
    (tmp_path / "team").mkdir()
    (tmp_path / "a.yaml").write_text(head.format("a", "base", rule.format("one", "one")))
    (tmp_path / "team" / "a.yaml").write_text(
        head.format("b", "../a.yaml", rule.format("two", "two"))
    )
    policy = load_policy(tmp_path / "team" / "a.yaml")
    assert exercised(policy, tmp_path / "none.test.yaml") == {"two": 0}


@pytest.mark.parametrize("name", presets())
def test_every_rule_of_a_preset_is_exercised(machine: Machine, name: str) -> None:
    machine.pip({})
    found = coverage(load_policy(name), PRESETS / f"{name}.test.yaml", CommandReader())
    assert [each.rule for each in found if not each.cases] == []
