"""What is learned of a log: exactly what was seen, and never what a guard refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firewall.actor import Actor, Process
from firewall.audit import AuditLog
from firewall.cli.policy import app
from firewall.policy import Policy, load_policy
from firewall.policy.learning import learn, written
from firewall.policy.learning.lessons import Place
from firewall.policy.replay import Outcome
from firewall.policy.replay import replay as played
from firewall.requests import (
    Act,
    Calls,
    Command,
    Connect,
    Execute,
    Finding,
    Intent,
    Message,
    Request,
    Resolve,
    SshChannel,
    ToolCall,
)
from tests.unit.policy.records import AGENT, get, record

type Write = Callable[[str], Policy]

OBSERVE = """
mode: observe
shell: {default: deny, rules: [{name: never-run, deny: [never]}]}
tools: {default: deny, rules: [{name: asked, ask: [Ask]}]}
network:
  rules:
    - {name: web, allow: https, hosts: [known.test]}
    - {name: never, deny: any, hosts: [bad.test]}
"""
MINING = (Finding("mining", "stratum-v1", "mining.subscribe", "the body"),)


def _call(tool: str, command: str = "", server: str = "", **arguments: object) -> ToolCall:
    """A call of a tool, which runs the command."""
    told = {"command": command} if command else arguments
    words = tuple(None if word[0] == "$" else word for word in command.split())
    commands = (Command(words, directory="/src"),) if words else ()
    return ToolCall(tool, json.dumps(told), server=server, directory="/src", commands=commands)


def _ran(path: str, *arguments: str) -> Execute:
    return Execute(path, (path, *arguments), "/src")


@pytest.fixture
def observe(policy: Write) -> Policy:
    return policy(OBSERVE)


def _recorded(policy: Policy, *requests: Request) -> list[dict[str, Any]]:
    return [record(seq, each, policy) for seq, each in enumerate(requests, 1)]


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
    assert played(policy, records[:4]).groups == []
    for other in (get("a.test", "/x"), get("a.test", "/x/y", "POST"), get("b.a.test", "/x/y")):
        assert policy.decide(other, AGENT).rule == "default"


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Connect("pool.test", 3333, findings=MINING), "something was found in it"),
        (get("bad.test"), "never refuses it, which is no gap in the rules"),
        (Resolve("a.test", "TXT"), "names refuses it, which is no gap in the rules"),
        (Connect("a.test", 443, protocol="tls"), "only its connection was seen, "),
        (Connect("a.test", 22, protocol="ssh"), "only its connection was seen, "),
        (Connect("a.test", 53, "udp", "dns"), "it is UDP, which no rule can allow"),
        (SshChannel("a.test", 22, "me", "login", "me"), "nothing was asked for after its login"),
        (SshChannel("a.test", 22, "me", "agent"), "it is a agent inside SSH, which no rule "),
        (SshChannel("a.test", 22, "me", "exec", "ls *"), "no rule can name it exactly: "),
        (SshChannel("a.test", 22, "me", "read-file", "/a b"), "no rule can name it exactly: "),
        (SshChannel("a.test", 22, "a b", "exec", "ls"), "no rule can name it exactly"),
        (Execute("/usr/bin/x", ("x", "--key", "[redacted:0a0b]"), "/"), "a secret was taken out"),
        (Execute("/usr/bin/x", ("x", "\ud800"), "/"), "no rule can name it exactly"),
        (ToolCall("T", "{", directory="/"), "its arguments are no plain JSON object"),
        (_call("Bash", "rm $X"), "only running can tell which program it runs"),
        (get("8.8.8.8"), "it is for an address, not a name; "),
        (get("a.test", "/*"), "no rule can name its method or path exactly"),
        (get("a.test", "/a\nb"), "no rule can name its method or path exactly"),
        (get("a.test", "/../b"), "no rule can name its method or path exactly"),
        (get("a.test", "/", "G]T"), "no rule can name its method or path exactly"),
    ],
    ids=str,
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
    assert played(_loaded(written(learn(records)), tmp_path), records).groups == []


def test_what_was_denied(policy: Write) -> None:
    strict = policy(OBSERVE.replace("observe", "enforce"))
    records = [record(1, get("a.test"), strict)]
    assert learn(records).places == {}
    assert list(learn(records, denied=True).places) == [Place("https", "a.test", 443)]


def test_what_was_allowed_stays_allowed_by_what_was_denied(policy: Write, tmp_path: Path) -> None:
    lenient = policy("tools: {default: deny}")
    records = _recorded(lenient, _ran("/usr/bin/ls"), _call("Read", path="/x"))
    learned = _loaded(written(learn(records, denied=True)), tmp_path)
    assert learned.resolved.shell.default == "allow"
    assert learned.resolved.tools.default == "deny"
    assert [each.tools for each in learned.resolved.tools.rules] == [("Read",)]


def test_the_command(observe: Policy, tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log", "gate-0")
    seen = [record(1, get("a.test"), observe), record(2, get("bad.test"), observe)]
    for each in seen:
        log.append({key: each[key] for key in ("kind", "request", "verdict", "actor")})
    log.close()
    where = ["learn", "--log", str(tmp_path / "log")]
    result = CliRunner().invoke(app, where)
    assert result.exit_code == 0
    (group,) = played(_loaded(result.stdout, tmp_path), seen).groups
    assert (group.before, group.after.effect) == (Outcome("allow", "never", True), "deny")
    assert '# not learned: 1, such as "gate-0:3", because "never refuses it' in result.stdout
    assert (
        json.loads(CliRunner().invoke(app, [*where, "--json"]).stdout)["skipped"][0]["count"] == 1
    )


def test_ssh_is_learned_user_by_user(observe: Policy, tmp_path: Path) -> None:
    asked: list[Request] = [
        Connect("git.test", 22, protocol="ssh"),
        SshChannel("git.test", 22, "git", "login", "git"),
        SshChannel("git.test", 22, "git", "env", "GIT_PROTOCOL"),
        SshChannel("git.test", 22, "git", "exec", "git-upload-pack 'o/r'"),
        SshChannel("git.test", 22, "ops", "login", "ops"),
        SshChannel("git.test", 22, "ops", "subsystem", "sftp"),
        SshChannel("git.test", 22, "ops", "write-file", "/srv/x"),
        SshChannel("git.test", 22, "ops", "local-forward", "db.test:5432"),
    ]
    records = _recorded(observe, *asked)
    policy = _loaded(written(learn(records)), tmp_path)
    assert played(policy, records).groups == []
    for other in (
        SshChannel("git.test", 22, "ops", "exec", "git-upload-pack 'o/r'"),
        SshChannel("git.test", 22, "git", "exec", "git-upload-pack 'o/s'"),
        SshChannel("git.test", 22, "git", "subsystem", "sftp"),
        SshChannel("git.test", 22, "ops", "read-file", "/srv/x"),
        SshChannel("git.test", 22, "ops", "env", "LANG"),
        SshChannel("git.test", 22, "ops", "shell"),
    ):
        assert policy.decide(other, AGENT).rule == "default", other


def test_programs_and_tools_are_learned_word_by_word(observe: Policy, tmp_path: Path) -> None:
    asked: list[Request] = [
        _ran("/usr/bin/git", "commit", "-m", "a b"),
        _ran("/src/run.sh"),
        _call("Bash", "git status"),
        _call("Read", file_path="/src/😀", limit=1e16),
        _call("query", server="db", sql="select 1"),
    ]
    records = _recorded(observe, *asked)
    policy = _loaded(written(learn(records)), tmp_path)
    assert played(policy, records).groups == []
    assert [each.tools for each in policy.resolved.tools.rules] == [
        ("Bash",),
        ("Read",),
        ("mcp__db__query",),
    ]
    for other in (
        _ran("/usr/bin/git", "commit", "-m", "a", "b"),
        _ran("/tmp/run.sh"),
        _ran("/src/run.sh", "-x"),
        _call("Bash", "git status -v"),
        _call("Read", file_path="/src/😀"),
        _call("query", sql="select 1"),
    ):
        assert not policy.decide(other, AGENT).allowed, other


def test_what_no_rule_names_is_learned_where_that_is_allowed(policy: Write, tmp_path: Path) -> None:
    records = _recorded(policy(""), _ran("/usr/bin/ls"), _call("Read", path="/x"))
    learned = _loaded(written(learn(records)), tmp_path)
    assert played(learned, records).groups == []
    assert not learned.decide(_ran("/usr/bin/cat"), AGENT).allowed


def test_an_observed_ask_is_a_persons(observe: Policy) -> None:
    found = learn(_recorded(observe, _call("Ask", path="/x")))
    assert found.places == {}
    assert list(found.skipped) == ["asked refuses it, which is no gap in the rules"]


def test_what_a_log_says_nothing_of_stays_as_it_is(observe: Policy, tmp_path: Path) -> None:
    policy = _loaded(written(learn(_recorded(observe, get("a.test")))), tmp_path)
    assert policy.resolved.shell.default == policy.resolved.tools.default == "allow"


def test_streams_by_name_and_port(observe: Policy, tmp_path: Path) -> None:
    records = _recorded(observe, Connect("db.test", 5432), Connect("q.test", 9, protocol="silent"))
    policy = _loaded(written(learn(records)), tmp_path)
    assert played(policy, records).groups == []
    for other in (Connect("db.test", 5433), Connect("x.db.test", 5432)):
        assert policy.decide(other, AGENT).rule == "default"


def test_no_stream_is_learned_that_would_hide_another(observe: Policy) -> None:
    seen = (Connect("a.test", 443), Connect("a.test", 443, protocol="tls", sni="a.test"))
    found = learn(_recorded(observe, *seen))
    assert found.places == {}
    assert "a rule for it would pass TLS to the same port unread" in found.skipped


def test_tls_that_nobody_could_read(observe: Policy, tmp_path: Path) -> None:
    pinned = Connect("pin.test", 443, protocol="tls", sni="pin.test")
    read = Connect("a.test", 443, protocol="tls", sni="a.test")
    nameless = Connect("b.test", 443, protocol="tls")
    records = _recorded(observe, pinned, read, get("a.test"), nameless)
    found = learn(records, unread=True)
    assert [place[:3] for place in found.places] == [
        ("https", "a.test", 443),
        ("unread", "pin.test", 443),
    ]
    assert list(found.skipped) == ["its TLS handshake names no host, so it cannot pass unread"]
    policy = _loaded(written(found), tmp_path)
    assert policy.decide(pinned, AGENT).obligations.tls == "passthrough"
    assert policy.decide(read, AGENT).obligations.tls == "inspect"


@pytest.mark.parametrize("kind", ["mining", "tunnel", "secret"])
def test_nothing_is_learned_of_where_something_was_found(observe: Policy, kind: Any) -> None:
    finding = Finding(kind, "name", "evidence", "body", "suspicious")
    seen = (
        get("pool.test"),
        Connect("pool.test", 443, protocol="tls"),
        Message("pool.test", 443, "http body", "sent", (finding,)),
        get("b.test"),
    )
    found = learn(_recorded(observe, *seen))
    assert [place.name for place in found.places] == ["b.test"]
    why = f"something was found at pool.test:443: {kind} (name): evidence (body; suspicious; "
    assert [each.startswith(why) for each in found.skipped] == [True]
    assert [each.count for each in found.skipped.values()] == [2]


def test_no_command_that_mines_is_learned(observe: Policy) -> None:
    miner = Command(("xmrig",), intents=(Intent("mining", "xmrig"),))
    call = ToolCall("Bash", '{"command": "xmrig"}', commands=(miner,))
    found = learn(_recorded(observe, call))
    assert found.places == {}
    assert list(found.skipped) == ["something was found in it: its command means mining"]


def test_bodies_that_a_rule_judges(policy: Write, tmp_path: Path) -> None:
    observe = policy(OBSERVE)
    query = Calls(graphql=(Act("query", "Any", ("viewer",)),))
    call = Calls(rpc=(Act("tools/call", "search"), Act("ping", "")))
    asked = [
        replace(get("api.test", path, "POST"), calls=calls)
        for path, calls in (("/graphql", query), ("/mcp", call))
    ]
    unclear = replace(get("api.test", "/x", "POST"), calls=Calls(unread="too long"))
    records = _recorded(observe, *asked, unclear)
    found = learn(records)
    assert list(found.skipped) == [
        "a rule near it judges bodies, and none can name its body exactly"
    ]
    learned = _loaded(written(found), tmp_path)
    assert played(learned, records[:2]).groups == []
    other = Calls(graphql=(Act("mutation", "Any", ("viewer",)),))
    assert not learned.decide(replace(asked[0], calls=other), AGENT).allowed


def test_what_is_not_public_is_learned_as_asked(observe: Policy, tmp_path: Path) -> None:
    database = Connect("db.test", 5432, address="10.0.0.5")
    web = Connect("in.test", 443, protocol="tls", sni="in.test", address="10.0.0.6")
    metadata = Connect("md.test", 80, address="169.254.169.254")
    records = _recorded(observe, database, web, get("in.test"), metadata)
    assert [place.name for place in learn(records).places] == ["in.test"]
    found = learn(records, private=True)
    assert [each.split(":")[0] for each in found.skipped] == ["something was found in it"]
    policy = _loaded(written(found), tmp_path)
    assert [each.addresses for each in policy.resolved.rules] == [("10.0.0.6",), ("10.0.0.5",)]
    assert policy.decide(web, AGENT).allowed
    other = replace(database, address="10.0.0.7")
    assert policy.decide(other, AGENT).rule == "guards.private-addresses"


def test_a_guard_that_lets_private_addresses_by_finds_nothing(policy: Write) -> None:
    lenient = policy(f"{OBSERVE}guards: {{private-addresses: alert, mining: alert}}\n")
    seen = Connect("db.test", 5432, address="10.0.0.5")
    found = learn(_recorded(lenient, seen), private=True)
    assert [place.name for place in found.places] == ["db.test"]


def test_no_rule_is_learned_for_what_a_rule_refuses_elsewhere(policy: Write) -> None:
    """A base name stands for all system folders, so it may not be learned from another of them."""
    observe = policy("""
    mode: observe
    shell: {default: deny, rules: [{name: own, ask: ["/usr/sbin/x"]}]}
    """)
    found = learn(_recorded(observe, _ran("/usr/bin/x"), _ran("/usr/sbin/x"), _ran("/usr/bin/y")))
    assert [place.name for place in found.places] == ["y"]
    assert "a rule refuses the same program with the same arguments" in found.skipped


def test_silent_clients_are_the_gateways(observe: Policy) -> None:
    seen: list[Request] = [
        Connect("box.test", 22, protocol="silent"),
        Connect("box.test", 22, protocol="ssh"),
        SshChannel("box.test", 22, "me", "exec", "ls"),
    ]
    found = learn(_recorded(observe, *seen))
    assert [place.kind for place in found.places] == ["ssh"]
    assert found.skipped == {}
