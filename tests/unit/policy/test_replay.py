"""The verdicts of a log under other policies."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firewall.actor import Actor
from firewall.audit import AuditLog
from firewall.cli.policy import app
from firewall.policy import Policy
from firewall.policy.replay import Outcome, replay, replay_both
from firewall.requests import Command, Execute, Intent, Request
from firewall.vault import Vault
from firewall.verdict import Action, Verdict
from tests.unit.policy.records import AGENT, get, record

type Write = Callable[[str], Policy]

BOTH = """
network:
  rules:
    - {name: one, allow: https, hosts: [one.test]}
    - {name: two, allow: https, hosts: [two.test], methods: [GET]}
"""
OTHER = """
network:
  rules:
    - {name: one-again, allow: https, hosts: [one.test]}
    - {name: three, allow: https, hosts: [three.test]}
"""


@pytest.fixture
def records(policy: Write) -> list[dict[str, Any]]:
    """One allowed, two allowed twice, three denied."""
    old = policy(BOTH)
    hosts = ("one.test", "two.test", "three.test", "two.test")
    return [record(seq, get(host), old) for seq, host in enumerate(hosts, 1)]


def test_what_changes(policy: Write, records: list[dict[str, Any]]) -> None:
    found = replay(policy(OTHER), records)
    lost, won = found.groups
    assert (lost.before, lost.after) == (Outcome("allow", "two"), Outcome("deny", "default"))
    assert (lost.count, lost.example.at) == (2, "gate-0:2")
    assert lost.reason == "no rule allows two.test on port 443"
    assert (won.before, won.after) == (Outcome("deny", "default"), Outcome("allow", "three"))
    assert (found.changed, found.same, found.other_rule) == (3, 1, 1)


def test_nothing_changes_under_its_own_policy(policy: Write, records: list[dict[str, Any]]) -> None:
    found = replay(policy(BOTH), records)
    assert (found.groups, found.same, found.other_rule, found.skipped) == ([], 4, 0, {})


def test_observed_requests_passed(policy: Write) -> None:
    seen = record(1, get("three.test"), policy("mode: observe\n" + BOTH))
    (group,) = replay(policy(BOTH), [seen]).groups
    assert group.before == Outcome("allow", "default", observed=True)
    assert group.after == Outcome("deny", "default")


def test_two_policies(policy: Write, records: list[dict[str, Any]]) -> None:
    found = replay_both(policy(OTHER), policy(BOTH), records)
    assert [(each.before.rule, each.after.rule, each.count) for each in found.groups] == [
        ("three", "default", 1),
        ("default", "two", 2),
    ]


def test_what_is_not_decided_again(policy: Write) -> None:
    quarantine = Verdict(Action.DENY, "quarantine", "closed")
    found = replay(
        policy(BOTH),
        [
            {"kind": "flow.closed", "chain": "gate-0", "seq": 1},
            {"kind": "log.unreadable", "chain": "gate-0", "line": 2},
            record(3, get("one.test"), quarantine),
            record(4, get("one.test"), quarantine, truncated=9),
            record(5, get("one.test"), quarantine),
        ],
    )
    assert {why: (each.example, each.count) for why, each in found.skipped.items()} == {
        "the log cannot be read there": ("gate-0:line 2", 1),
        "no policy was asked (quarantine)": ("gate-0:3", 2),
        "it was too large for one record and is shortened": ("gate-0:4", 1),
    }
    assert found.same == 0


def test_a_persons_answer_is_not_the_policys(policy: Write) -> None:
    asking = policy("shell: {rules: [{name: push, ask: [git]}]}")
    push = Execute("/usr/bin/git", ("git",), "/", commands=(Command(("git",)),))
    asked = asking.decide(push, AGENT)
    assert asked.action is Action.ASK
    answer = replace(asked, action=Action.DENY, reason=f"{asked.reason}; denied by ann")
    found = replay(asking, [record(1, push, asked), record(2, push, answer)])
    assert (found.groups, found.same) == ([], 1)
    assert list(found.skipped) == ["a person was asked, and this is the answer"]


def test_what_was_done_before_counts(policy: Write) -> None:
    text = """
    shell:
      rules: [{name: fresh, deny: any, after: {did: download, same: file}}]
    """
    load = Command(("curl",), (), "/w", (Intent("download", "u", "x"),))
    curl = Execute("/usr/bin/curl", ("curl",), "/w", commands=(load,))
    run = Execute("/w/x", ("x",), "/w", commands=(Command(("/w/x",)),))
    plain = policy("network: {}")
    strict = policy(text)
    others = Actor("s2", AGENT.process)
    records = [record(1, run, plain), record(2, curl, plain), record(3, run, plain, others)]
    assert replay(strict, records).groups == []
    (group,) = replay(strict, [*records, record(4, run, plain)]).groups
    assert (group.example.at, group.after.rule) == ("gate-0:4", "fresh")


def test_a_change_that_the_record_may_be_the_reason_for(policy: Write) -> None:
    """A mark stands where a secret did, and a body that no rule judged was not read."""
    secret = Execute("/usr/bin/x", ("x", "[redacted:0a0b]"), "/")
    post = get("api.test", "/graphql", "POST")
    before = policy("network: {rules: [{name: api, allow: https, hosts: [api.test]}]}")
    after = policy("""
    network:
      rules:
        - {name: api, allow: https, hosts: [api.test], requests: [{graphql: {fields: [viewer]}}]}
    shell: {rules: [{name: marks, deny: [x], arguments: ["[[]*"]}]}
    """)
    asked: tuple[Request, ...] = (secret, post, get("api.test"))
    records = [record(seq, each, before) for seq, each in enumerate(asked, 1)]
    found = replay(after, records)
    assert {each.example.at: each.doubt for each in found.groups} == {
        "gate-0:1": "a secret was taken out of what was recorded",
        "gate-0:2": "a rule judges the body, which was not read then",
        "gate-0:3": "",
    }


def test_a_lack_of_a_secret_is_no_verdict_of_the_policy(policy: Write) -> None:
    text = """
    network:
      rules:
        - {name: api, allow: https, hosts: [a.test], inject: [{header: x-key, from: "env:NONE"}]}
    """
    own = policy(text)
    refused = Vault(()).honour(own.decide(get("a.test"), AGENT), own)
    assert refused.action is Action.DENY
    found = replay(own, [record(1, get("a.test"), refused)])
    assert found.groups == []
    assert list(found.skipped) == ["a secret that its rule needs was not there"]


def test_a_limit_is_no_verdict_of_the_policy_alone(policy: Write) -> None:
    own = policy("network: {rules: [{name: web, allow: https, hosts: [a.test]}]}")
    reached = replace(own.decide(get("a.test"), AGENT), action=Action.DENY, rule="limits.web")
    found = replay(own, [record(1, get("a.test"), reached)])
    assert list(found.skipped) == ["a limit was reached, which counts what came before"]


class TestCommand:
    @pytest.fixture
    def log(self, tmp_path: Path, records: list[dict[str, Any]]) -> Path:
        """The records as a log on disk."""
        log = AuditLog(tmp_path / "log", "gate-0")
        for each in records:
            log.append({key: each[key] for key in ("kind", "request", "verdict", "actor")})
        log.close()
        return tmp_path / "log"

    def run(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["replay", *arguments])
        return result.exit_code, result.output

    def test_for_people(self, policy: Write, log: Path, tmp_path: Path) -> None:
        policy(OTHER)
        code, output = self.run(str(tmp_path / "test.yaml"), "--log", str(log))
        assert code == 0
        assert output.splitlines()[:4] == [
            "3 of 4 requests would end otherwise",
            "        2  ALLOW (two) -> DENY (default)",
            "           such as gate-0:3  GET https://two.test/",
            "           because no rule allows two.test on port 443",
        ]

    def test_for_programs(self, policy: Write, log: Path, tmp_path: Path) -> None:
        other = policy(OTHER)
        code, output = self.run(
            str(tmp_path / "test.yaml"), "--log", str(log), "--json", "--fail-on-change"
        )
        found = json.loads(output)
        assert (code, found["changed"], found["policy_digest"]) == (1, 3, other.digest)
        assert found["groups"][0]["after"]["rule"] == "default"

    @pytest.mark.parametrize(("empty", "code"), [(False, 0), (True, 1)])
    def test_failing_on_change(
        self, policy: Write, log: Path, tmp_path: Path, empty: bool, code: int
    ) -> None:
        """A log of nothing that can be decided proves nothing."""
        policy(BOTH)
        AuditLog(tmp_path / "none", "gate-0").close()
        where = tmp_path / "none" if empty else log
        name = str(tmp_path / "test.yaml")
        assert self.run(name, "--log", str(where), "--fail-on-change")[0] == code

    def test_what_is_wrong(self, policy: Write, log: Path, tmp_path: Path) -> None:
        assert self.run("nowhere.yaml", "--log", str(log))[0] == 1
        policy(BOTH)
        code, output = self.run(str(tmp_path / "test.yaml"), "--log", str(tmp_path / "gone"))
        assert code == 2
        assert "cannot be read" in output
