"""Test files of policies, and the presets' own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from firewall.cli.reader import CommandReader
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.cases import Outcome, read_cases, run_cases
from firewall.policy.loading import PRESETS, presets
from tests.unit.policy.conftest import Machine


@pytest.mark.parametrize("name", presets())
def test_presets_do_what_their_cases_say(machine: Machine, name: str) -> None:
    machine.pip({})
    path = PRESETS / f"{name}.test.yaml"
    failures = [str(failure) for failure in wrong(load_policy(name), path)]
    assert not failures
    assert len(read_cases(path)) >= 8


RULES = """
network:
  rules:
    - {name: git, allow: https, hosts: [git.example], methods: [GET], programs: ["*/git"]}
    - {name: opaque, allow: https, hosts: [pinned.example], tls: passthrough}
"""

PASSING = """
cases:
  - {https: "GET https://git.example/", program: /usr/bin/git, expect: allow, rule: git}
  - {https: "GET https://git.example/", expect: deny, reason: the program is not known}
  - {https: "PUT https://git.example/", program: /usr/bin/git, expect: deny, rule: default}
  - {https: "PUT https://pinned.example/", expect: allow, rule: opaque}
  - {https: "GET https://[2606:4700::1]:8443/", expect: deny, rule: default, reason: "port 8443"}
  - {ssh: "git@git.example:2222", expect: deny, reason: SSH on port 2222}
  - {tcp: "git.example:443", expect: deny, reason: an unknown protocol on port 443}
  - {tcp: "x.example:1", address: 10.0.0.1, expect: deny, rule: guards.private-addresses}
  - {dns: "x.example", expect: allow}
"""


def _cases(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "test.test.yaml"
    path.write_text(text)
    return path


def wrong(policy: Policy, path: Path) -> list[Outcome]:
    return [each for each in run_cases(policy, path, CommandReader()) if not each.right]


def test_passing(tmp_path: Path, policy: Callable[[str], Policy]) -> None:
    assert wrong(policy(RULES), _cases(tmp_path, PASSING)) == []


def test_failures_tell_expected_got_and_reason(
    tmp_path: Path, policy: Callable[[str], Policy]
) -> None:
    path = _cases(
        tmp_path,
        'cases:\n  - {https: "GET https://x.example/", expect: allow, rule: git}\n'
        '  - {dns: "x.example TXT", expect: deny, rule: names, reason: because}\n'
        '  - {dns: "x.example TXT", expect: deny, rule: default}\n',
    )
    failures = wrong(policy(RULES), path)
    assert str(failures[0]) == (
        f"{path}:2: https GET https://x.example/\n"
        "  expected: allow by rule git\n"
        "  got:      deny by rule default (test.yaml)\n"
        "  reason:   no rule allows x.example on port 443"
    )
    assert [failure.line for failure in failures] == [2, 3, 4]
    assert "because of 'because'" in str(failures[1])


@pytest.mark.parametrize(
    ("case", "error"),
    [
        ("{expect: deny}", "asks exactly one thing; write: one of https, http, ssh, tcp"),
        ('{dns: "a", tcp: "a:1", expect: deny}', "a case asks exactly one thing"),
        ('{dns: "a b c", expect: deny}', "'a b c' is not a question"),
        ('{https: "https://a.example", expect: deny}', "is not a request over https"),
        ('{https: "GET http://a.example", expect: deny}', "is not a request over https"),
        ('{https: "GET https://a b/", expect: deny}', "'GET https://a b/' is not a request"),
        ('{https: "GET https://a:b/", expect: deny}', "is not a URL"),
        ('{tcp: "a.example", expect: deny}', "'a.example' is not a destination"),
        ('{ssh: "git@a:x b", expect: deny}', "is not a destination"),
        ('{dns: a, expect: maybe}', "'maybe' is not known; write: allow, ask or deny"),
        ('{dns: a, expect: deny, finding: mining}', "'mining' is not a finding"),
        ('{dns: a, expect: deny, address: b}', "'b' is not an IP address"),
        ('{dns: a, expect: deny, rul: b}', r"unknown key 'rul'; write: rule \(did you mean it\?\)"),
        ('{dns: a}', "the key 'expect' is missing"),
    ],
)  # fmt: skip
def test_bad_cases(tmp_path: Path, case: str, error: str) -> None:
    with pytest.raises(PolicyError, match=rf"test.test.yaml:2: .*{error}"):
        read_cases(_cases(tmp_path, f"cases:\n  - {case}\n"))


def test_a_file_without_cases(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="at least one item"):
        read_cases(_cases(tmp_path, "cases: []\n"))


ACTS = """
shell:
  rules:
    - {name: no-doors, deny: [nc]}
    - {name: push, ask: any, intents: [git.push], directories: [/src]}
    - {name: no-run, deny: any, after: {did: download, same: file}}
tools:
  rules:
    - {name: no-pay, deny: ["mcp__bank__*"], where: {"$.amount": {min: 10}}}
"""

ACT_CASES = """
cases:
  - {shell: "ls ; nc -l", expect: deny, rule: no-doors, reason: nc -l}
  - {shell: "git push origin", expect: ask, rule: push}
  - {shell: "git push origin", directory: /tmp, expect: allow, rule: shell.default}
  - {exec: [/usr/bin/nc, -l], expect: deny, rule: no-doors}
  - {tool: {name: pay, server: bank, arguments: {amount: 10}}, expect: deny, rule: no-pay}
  - {tool: {name: pay, server: bank}, expect: allow}
  - {exec: [/src/x], expect: allow}
  - {exec: [/src/x], after: [{shell: "curl -o x u"}], expect: deny, rule: no-run}
  - {exec: [/src/x], after: [{shell: "curl -o x u ; nc"}], expect: allow}
  - {exec: [/src/x], after: [{shell: "curl -o x u", directory: /tmp}], expect: allow}
"""


def test_programs_and_tools(tmp_path: Path, policy: Callable[[str], Policy]) -> None:
    assert wrong(policy(ACTS), _cases(tmp_path, ACT_CASES)) == []


def test_a_failing_case_of_a_program_shows_it_as_it_is_typed(
    tmp_path: Path, policy: Callable[[str], Policy]
) -> None:
    path = _cases(tmp_path, 'cases: [{exec: [/bin/nc, "a b"], expect: ask, rule: no-doors}]')
    (failure,) = wrong(policy(ACTS), path)
    assert f"{path}:1: exec /bin/nc 'a b'\n  expected: ask by rule no-doors" in str(failure)


def test_what_was_before_asks_one_thing_too(tmp_path: Path) -> None:
    path = _cases(tmp_path, "cases: [{shell: ls, after: [{program: /x}], expect: deny}]")
    with pytest.raises(PolicyError, match="a case asks exactly one thing; write: one of https"):
        read_cases(path)
