"""Test files of policies, and the presets' own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from firewall.cli.reader import CommandReader
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.cases import Outcome, read_cases, run_cases
from firewall.policy.coverage import coverage
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
        ('{https: "GET https://a b/", expect: deny}', "'a b' is not a host name"),
        ('{https: "GET https://a:b/", expect: deny}', "is not a URL"),
        ('{tcp: "a.example", expect: deny}', "'a.example' is not a destination"),
        ('{ssh: "git@a:x b", expect: deny}', "is not a destination"),
        ('{tcp: "bücher.example:1", expect: deny}', "write: xn--bcher-kva.example"),
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


BODIES = """
network:
  rules:
    - name: api
      allow: https
      hosts: [api.example]
      requests:
        - {path: /graphql, graphql: {operations: [query], fields: [viewer]}}
        - {path: /mcp, mcp: {tools: [search]}}
    - name: no-deletion
      deny: https
      hosts: [api.example]
      requests: [{path: /rpc, json-rpc: {methods: ["delete*"]}}]
    - {name: rpc, allow: https, hosts: [api.example], requests: [{path: /rpc}]}
"""
WITH_BODIES = """
cases:
  - {https: "POST https://api.example/graphql", body: '{"query": "{ viewer { x } }"}',
     expect: allow}
  - {https: "POST https://api.example/graphql", body: {query: "{ viewer }"}, expect: allow,
     rule: api}
  - {https: "POST https://api.example/graphql", body: {query: "{ users }"}, expect: deny,
     rule: default, reason: "this is POST /graphql (query users)"}
  - {https: "POST https://api.example/graphql", expect: deny, rule: default}
  - {https: "POST https://api.example/mcp", expect: allow, rule: api,
     body: {jsonrpc: "2.0", id: 1, method: tools/call, params: {name: search}}}
  - {https: "POST https://api.example/rpc", body: [{method: ping}], expect: allow, rule: rpc}
  - {https: "POST https://api.example/rpc", body: [{method: ping}, {method: deleteAll}],
     expect: deny, rule: no-deletion}
"""


def test_bodies_are_judged(tmp_path: Path, policy: Callable[[str], Policy]) -> None:
    path = _cases(tmp_path, WITH_BODIES)
    rules = policy(BODIES)
    assert [str(each) for each in wrong(rules, path)] == []
    covered = coverage(rules, path, CommandReader())
    assert {each.rule: each.cases for each in covered} == {"api": 3, "no-deletion": 1, "rpc": 1}
    assert covered[0].example == 'https: "POST https://.../", body: {...}'


@pytest.mark.parametrize(
    ("case", "what"),
    [
        (
            'https: "POST https://api.example/", body: "{"',
            "a rule could judge: it is no plain JSON",
        ),
        ('https: "POST https://api.example/", body: {a: 1}', "neither a GraphQL document nor a "),
        ('https: "GET https://api.example/", body: {query: x}', "the body of a GET is not judged"),
        ('tcp: "api.example:1", body: {query: x}', "only a request over HTTP has a body"),
        ("exec: [ls], body: {query: x}", "only a request over HTTP has a body"),
        (
            'https: "POST https://b.example/", body: {query: "{ x }"}',
            "no rule for b.example judges",
        ),
        ('https: "POST https://api.example/", body: 5', "cases.0.body: 5 does not fit"),
    ],
)
def test_a_body_that_says_nothing(
    case: str, what: str, tmp_path: Path, policy: Callable[[str], Policy]
) -> None:
    path = _cases(tmp_path, f"cases:\n  - {{{case}, expect: deny}}\n")
    with pytest.raises(PolicyError) as error:
        wrong(policy(BODIES), path)
    assert str(error.value).startswith(f"{path}:2: ")
    assert what in str(error.value)
