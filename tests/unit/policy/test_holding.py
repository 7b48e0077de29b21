"""When and where rules hold, and whose they are: dates, labels, owners, in all sections."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firewall.actor import Actor
from firewall.audit import describe
from firewall.cli.main import app
from firewall.deeds import NOTHING, Past
from firewall.history import History
from firewall.judge import Judge
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.holding import expiring, parse_labels
from firewall.proxy.refusal import page, sentence
from firewall.proxy.reload import Reload
from firewall.requests import Command, Connect, Execute, HttpRequest, Request, ToolCall
from firewall.toolcalls.calls import explain
from firewall.verdict import Verdict
from tests.unit.policy.conftest import Write

NOBODY = Actor(sandbox="test")
RULES = """
network:
  rules:
    - name: old
      allow: https
      hosts: [api.example]
      valid: {from: 2026-02-01, until: 2026-10-01}
      owner: ml-platform
      reason: the spring migration
    - {name: ci, allow: https, hosts: [ci.example], labels: {env: [ci, staging]}, owner: ops}
    - {name: freeze, deny: any, hosts: [ci.example], valid: {from: 2026-12-24}, owner: ops}
    - {name: prod, deny: any, hosts: [api.example], labels: {env: prod, team: web}}
shell:
  default: deny
  rules:
    - {name: git, allow: [git], valid: {until: 2026-10-01}, owner: dev}
    - {name: no-nc, deny: [nc], labels: {env: prod}, owner: sec, reason: it is raw}
tools:
  rules:
    - {name: no-drop, deny: [drop], valid: {from: 2026-06-01}, owner: data, reason: it is late}
"""


def get(host: str) -> HttpRequest:
    return HttpRequest("GET", "https", host, 443, "/", host, host)


def run(*words: str) -> Execute:
    path = f"/usr/bin/{words[0]}"
    return Execute(path, words, "/", commands=(Command(words),))


def decide(policy: Policy, request: Request, today: str = "2026-07-01") -> Verdict:
    return policy.decide(request, NOBODY, Past(today=today))


@pytest.mark.parametrize(
    ("today", "allowed"),
    [
        ("2026-01-31", False),
        ("2026-02-01", True),
        ("2026-10-01", True),
        ("2026-10-02", False),
        ("", False),
    ],
)
def test_an_allow_holds_from_its_first_day_to_its_last(
    policy: Write, today: str, allowed: bool
) -> None:
    verdict = decide(policy(RULES), get("api.example"), today)
    assert verdict.allowed is allowed
    assert (verdict.rule, verdict.owner) == ("old" if allowed else "default", "ml-platform")


def test_a_connection_needs_the_day_as_its_requests_do(policy: Write) -> None:
    ask = Connect("api.example", 443, protocol="tls", sni="api.example")
    assert decide(policy(RULES), ask).rule == "old"
    assert decide(policy(RULES), ask, "2026-10-02").rule == "default"


def test_an_ended_allow_is_told_with_its_owner_and_reason(policy: Write) -> None:
    verdict = decide(policy(RULES), get("api.example"), "2026-11-26")
    assert verdict.reason == (
        "rule old would have allowed this until 2026-10-01, owner ml-platform: the spring migration"
    )
    assert verdict.remedy == "change valid of rule old (test.yaml:6), if it is still right"


def test_an_allow_that_is_not_yet_is_told(policy: Write) -> None:
    verdict = decide(policy(RULES), get("api.example"), "2026-01-01")
    assert "rule old will allow this from 2026-02-01 on" in verdict.reason


def test_an_allow_holds_only_in_runs_with_its_labels(policy: Write) -> None:
    loaded = policy(RULES)
    bare = decide(loaded, get("ci.example"))
    assert bare.reason == (
        "rule ci would allow this only where env is ci or staging (here no label says env),"
        " owner ops"
    )
    assert decide(loaded.labelled({"env": "staging"}), get("ci.example")).rule == "ci"
    other = decide(loaded.labelled({"env": "prod"}), get("ci.example"))
    assert "here it is prod" in other.reason


def test_a_deny_holds_where_all_its_labels_are(policy: Write) -> None:
    loaded = policy(RULES)
    assert decide(loaded.labelled({"env": "prod"}), get("api.example")).rule == "old"
    both = loaded.labelled({"env": "prod", "team": "web"})
    assert decide(both, get("api.example")).rule == "prod"


def test_a_deny_with_dates_holds_on_a_day_that_nobody_told(policy: Write) -> None:
    loaded = policy(RULES).labelled({"env": "ci"})
    assert decide(loaded, get("ci.example"), "2026-12-23").rule == "ci"
    assert decide(loaded, get("ci.example"), "2026-12-24").rule == "freeze"
    assert decide(loaded, get("ci.example"), "").rule == "freeze"


def test_programs_and_tools_have_dates_labels_and_owners(policy: Write) -> None:
    loaded = policy(RULES)
    assert decide(loaded, run("git")).rule == "git"
    ended = decide(loaded, run("git"), "2026-10-02")
    assert ended.reason.endswith("; rule git would have allowed this until 2026-10-01, owner dev")
    assert (ended.rule, ended.owner) == ("shell.default", "dev")
    assert decide(loaded, run("nc")).rule == "shell.default"
    held = decide(loaded.labelled({"env": "prod"}), run("nc"))
    assert (held.rule, held.owner) == ("no-nc", "sec")
    assert decide(loaded, ToolCall("drop", "{}"), "2026-05-31").allowed
    assert decide(loaded, ToolCall("drop", "{}")).owner == "data"


def test_refusals_and_records_name_owner_and_reason(policy: Write) -> None:
    loaded = policy(RULES)
    verdict = decide(loaded.labelled({"env": "prod"}), run("nc"))
    assert "(rule: no-nc, owner: sec)" in sentence(verdict)
    assert "  owner: sec\n" in page(verdict, None, "*/*")[1].decode()
    assert "it is raw" in page(verdict, None, "*/*")[1].decode()
    assert describe(verdict)["owner"] == "sec"
    told = explain(decide(loaded, ToolCall("drop", "{}")))
    assert "owner: data" in told
    assert "it is late" in told


def test_the_judge_tells_the_day(policy: Write) -> None:
    rule = "{name: a, allow: https, hosts: [a.example], valid: {until: 2026-10-01}}"
    loaded = policy(f"network: {{rules: [{rule}]}}")
    memory: Any = _Memory()
    judge = Judge(loaded, memory, memory, memory)
    judge._history = History(today=lambda: "2026-10-01")
    assert judge.preview(get("a.example"), NOBODY).rule == "a"
    judge._history = History(today=lambda: "2026-10-02")
    assert judge.preview(get("a.example"), NOBODY).rule == "default"


class _Memory:
    def follow(self, hear: object) -> None:
        """Nothing follows."""


def test_no_day_is_looked_up_where_no_rule_has_dates() -> None:
    def never() -> str:
        raise AssertionError

    assert History(today=never).past(()) is NOTHING


def test_labels_are_part_of_the_digest_and_travel(policy: Write) -> None:
    loaded = policy(RULES)
    labelled = loaded.labelled({"env": "ci"})
    assert labelled.digest != loaded.digest
    again = Policy.parse(labelled.dump())
    assert (again.labels, again.digest) == ({"env": "ci"}, labelled.digest)


def test_rules_that_end_soon_are_told(policy: Write) -> None:
    rules = policy(RULES).resolved.all_rules
    assert list(expiring(rules, date(2026, 9, 16))) == []
    old, git = expiring(rules, date(2026, 9, 17))
    assert old.startswith("rule old (test.yaml:6) ends in 14 days, after 2026-10-01, owner ml-p")
    assert git.startswith("rule git (test.yaml:18) ends in 14 days, after 2026-10-01, owner dev:")
    assert "has ended, on 2026-10-01" in next(expiring(rules, date(2026, 10, 2)))


def test_check_and_explain_tell_of_dates_labels_and_owners(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: 1\nname: dated\n{RULES}")
    invoke = CliRunner().invoke
    checked = invoke(app, ["policy", "check", str(path)])
    assert checked.exit_code == 0
    explain_ci = ["policy", "explain", "GET https://ci.example/", "-p", str(path)]
    dated = [*explain_ci, "--date", "2026-07-01"]
    assert "allow" not in invoke(app, dated).output.partition("\n")[0]
    told = invoke(app, [*dated, "--label", "env=ci"]).output
    assert told.startswith("allow GET https://ci.example/")
    assert "  owner   ops" in told
    assert invoke(app, [*explain_ci, "--date", "July"]).exit_code == 2


def test_cases_have_dates_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: 1\nname: dated\n{RULES}")
    (tmp_path / "policy.test.yaml").write_text(
        "cases:\n"
        '  - {https: "GET https://api.example/", date: 2026-07-01, expect: allow}\n'
        '  - {https: "GET https://api.example/", date: 2026-10-02, expect: deny, rule: default}\n'
        '  - {https: "GET https://ci.example/", date: 2026-07-01, labels: {env: ci},'
        " expect: allow, rule: ci}\n"
    )
    done = CliRunner().invoke(app, ["policy", "test", str(path)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("valid: {until: 2026-13-01}", "is no date"),
        ("valid: {until: 20261201}", "does not fit"),
        ("valid: {}", "valid names no day"),
        ("valid: {from: 2026-02-02, until: 2026-02-01}", "is before the first"),
        ("labels: {}", "does not fit"),
        ("labels: {env: 'a b'}", "is no label"),
        ("labels: {env: []}", "does not fit"),
    ],
)
def test_what_cannot_hold_is_a_fault(policy: Write, keys: str, problem: str) -> None:
    rule = f"{{name: a, allow: https, hosts: [a.example], {keys}}}"
    with pytest.raises(PolicyError, match=problem):
        policy(f"network: {{rules: [{rule}]}}")


def test_rules_that_differ_in_dates_or_labels_are_no_twins(policy: Write) -> None:
    first = "{name: a, allow: https, hosts: [a.example], labels: {env: ci}}"
    second = "{name: b, allow: https, hosts: [a.example], valid: {until: 2027-01-01}}"
    freeze = "{name: c, deny: any, hosts: [a.example], valid: {from: 2026-12-24}}"
    assert policy(f"network: {{rules: [{first}, {second}, {freeze}]}}")


def test_an_allow_that_another_covers_on_all_days_changes_nothing(policy: Write) -> None:
    wide = '{name: a, allow: https, hosts: ["*.a.example"]}'
    narrow = "{name: b, allow: https, hosts: [b.a.example], valid: {until: 2027-01-01}}"
    with pytest.raises(PolicyError, match="rule b changes nothing"):
        policy(f"network: {{rules: [{wide}, {narrow}]}}")


@pytest.mark.parametrize("text", ["env", "=ci", "env=", "env=a b"])
def test_labels_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it as --label env=ci"):
        parse_labels([text])


def test_a_label_has_one_value() -> None:
    assert parse_labels(["env=ci", "team=web", "env=ci"]) == {"env": "ci", "team": "web"}
    with pytest.raises(ValueError, match="env is ci already"):
        parse_labels(["env=ci", "env=prod"])


def test_a_reload_keeps_the_labels(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: 1\nname: dated\n{RULES}")
    taken: list[Policy] = []
    old = load_policy(path, {"env": "ci"})
    loop: Any = None
    reload = Reload(loop, path, old, taken.append, pytest.fail, watch=False)
    path.write_text(path.read_text().replace("name: dated", "name: dated\nmode: observe"))
    reload.now()
    reload.close()
    assert [dict(each.labels) for each in taken] == [{"env": "ci"}]
