"""What is learned of a log: exactly what was seen, and never what a guard refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.actor import Actor, Process
from firewall.audit import AuditLog
from firewall.cli.policy import app
from firewall.policy import Policy, load_policy
from firewall.policy.learn import learn, written
from firewall.policy.replay import Outcome, replay
from firewall.requests import Connect, Finding, Request, Resolve
from tests.unit.policy.records import AGENT, get, record

type Write = Callable[[str], Policy]

OBSERVE = """
mode: observe
network:
  rules:
    - {name: web, allow: https, hosts: [known.test]}
    - {name: never, deny: any, hosts: [bad.test]}
"""
MINING = (Finding("mining", "stratum-v1", "mining.subscribe", "the body"),)


@pytest.fixture
def observe(policy: Write) -> Policy:
    return policy(OBSERVE)


def _loaded(text: str, tmp_path: Path) -> Policy:
    (tmp_path / "learned.yaml").write_text(text)
    return load_policy(tmp_path / "learned.yaml")


def test_exactly_what_was_seen_is_allowed(observe: Policy, tmp_path: Path) -> None:
    requests: list[Request] = [
        Connect("a.test", 443, protocol="tls", sni="a.test"),
        get("a.test", "/x/y?secret=1"),
        get("a.test", "/", "POST"),
        get("a.test", "/x/y"),
        get("known.test"),
    ]
    records = [record(seq, each, observe) for seq, each in enumerate(requests, 1)]
    text = written(learn(records))
    assert "secret" not in text
    assert '# 3 requests, first "gate-0:2" at "2026-01-01T00:00:02.000000Z",' in text
    assert '#   "/usr/bin/curl"' in text
    policy = _loaded(text, tmp_path)
    assert [each.name for each in policy.resolved.rules] == ["learned-1"]
    assert replay(policy, records[:4]).groups == []
    for other in (get("a.test", "/x"), get("a.test", "/x/y", "POST"), get("b.a.test", "/x/y")):
        assert policy.decide(other, AGENT).rule == "default"


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Connect("pool.test", 3333, findings=MINING), "something was found in it"),
        (get("bad.test"), "never refuses it, which is no gap in the rules"),
        (Resolve("a.test", "TXT"), "names refuses it, which is no gap in the rules"),
        (Connect("a.test", 443, protocol="tls"), "only its connection was seen, "),
        (Connect("a.test", 22, protocol="ssh"), "only HTTP requests are learned; "),
        (get("8.8.8.8"), "it is for an address, not a name; "),
        (get("a.test", "/*"), "no rule can name its method or path exactly"),
        (get("a.test", "/a\nb"), "no rule can name its method or path exactly"),
        (get("a.test", "/../b"), "no rule can name its method or path exactly"),
        (get("a.test", "/", "G]T"), "no rule can name its method or path exactly"),
    ],
)
def test_what_is_never_learned(
    observe: Policy, tmp_path: Path, request_: Request, why: str
) -> None:
    found = learn([record(1, request_, observe)])
    assert found.places == {}
    assert [each.startswith(why) for each in found.skipped] == [True]
    assert _loaded(written(found), tmp_path).resolved.rules == ()


def test_no_program_writes_a_rule(observe: Policy, tmp_path: Path) -> None:
    evil = Process(
        1, 1.0, "/tmp/x\x7f\n    - {name: evil, allow: https, hosts: [evil.test]}", (), 0
    )
    found = learn([record(1, get("a.test", method="NO"), observe, Actor("s1", evil))])
    policy = _loaded(written(found), tmp_path)
    assert [each.name for each in policy.resolved.rules] == ["learned-1"]


def test_hosts_that_look_alike(observe: Policy, tmp_path: Path) -> None:
    hosts = ("a-b.test", "a.b.test", "a_b.test", "x." * 120 + "test")
    records = [record(seq, get(host), observe) for seq, host in enumerate(hosts, 1)]
    assert replay(_loaded(written(learn(records)), tmp_path), records).groups == []


def test_what_was_denied(policy: Write) -> None:
    strict = policy(OBSERVE.replace("observe", "enforce"))
    records = [record(1, get("a.test"), strict)]
    assert learn(records).places == {}
    assert list(learn(records, denied=True).places) == [("https", "a.test", 443)]


def test_the_command(observe: Policy, tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log", "gate-0")
    seen = [record(1, get("a.test"), observe), record(2, get("bad.test"), observe)]
    for each in seen:
        log.append({key: each[key] for key in ("kind", "request", "verdict", "actor")})
    log.close()
    where = ["learn", "--log", str(tmp_path / "log")]
    result = CliRunner().invoke(app, where)
    assert result.exit_code == 0
    (group,) = replay(_loaded(result.stdout, tmp_path), seen).groups
    assert (group.before, group.after.effect) == (Outcome("allow", "never", True), "deny")
    assert "not learned: 1 (such as gate-0:3): never refuses it" in result.stderr
    assert (
        json.loads(CliRunner().invoke(app, [*where, "--json"]).stdout)["skipped"][0]["count"] == 1
    )
