"""Rules that hold only after something was done before, and what else a policy says of calls."""

from collections.abc import Callable
from pathlib import Path

import pytest

from firewall.actor import Actor
from firewall.deeds import Did, Past
from firewall.policy import Policy, load_policy
from firewall.requests import Command, Connect, Execute, HttpRequest, Intent, ToolCall

NOBODY = Actor(sandbox="test")

RULES = """
network:
  rules:
    - {name: api, allow: https, hosts: [api.example], tool-calls: inspect}
    - {name: rest, allow: https, hosts: ["*.example"]}
    - name: no-leak
      deny: any
      hosts: ["*.example"]
      after: {did: read, files: ["~/.ssh/*"], within: 10m}
      reason: keys stay
shell:
  rules:
    - {name: no-run, deny: any, after: {did: download, same: file}}
    - {name: no-send, ask: [scp], after: {did: read, files: ["**/.env", /etc/shadow]}}
tools:
  rules:
    - {name: no-rewrite, deny: [Write], after: {did: read, same: file}}
"""


@pytest.fixture
def rules(policy: Callable[[str], Policy]) -> Policy:
    return policy(RULES)


def past(did: Did, path: str, at: float = 1000.0) -> Past:
    return Past(1000.0, {did: {path: at}})


def test_the_policy_says_which_deeds_it_refers_to(
    rules: Policy, policy: Callable[[str], Policy]
) -> None:
    assert rules.remembers == {"read", "download"}
    assert Policy.parse(rules.dump()).remembers == rules.remembers
    assert policy("").remembers == frozenset()


@pytest.mark.parametrize(
    "asked",
    [
        Execute("/src/x", ("x",), "/src"),
        Execute("/usr/bin/dash", ("sh",), "/src", script="/src/x"),
        Execute("/usr/bin/bash", ("bash", "x"), "/src"),
        ToolCall("Bash", "{}", commands=(Command(("./x",), (), "/src"),)),
        ToolCall("Bash", "{}", commands=(Command(("python3", "-u", "x"), (), "/src"),)),
    ],
)
def test_what_was_downloaded_is_not_run(rules: Policy, asked: Execute | ToolCall) -> None:
    assert rules.decide(asked, NOBODY).allowed
    assert rules.decide(asked, NOBODY, past("download", "/src/y")).allowed
    verdict = rules.decide(asked, NOBODY, past("download", "/src/x", 988.0))
    assert verdict.rule == "no-run"
    assert verdict.reason.endswith("after it downloaded /src/x 12 s ago")


def test_one_text_can_be_the_whole_sequence(rules: Policy) -> None:
    fetch = Command(("curl",), (), "/src", (Intent("download", "u", "x"),))
    run = Command(("./x",), (), "/src")
    assert rules.decide(ToolCall("Bash", "{}", commands=(fetch,)), NOBODY).allowed
    both = rules.decide(ToolCall("Bash", "{}", commands=(fetch, run)), NOBODY)
    assert (both.rule, both.reason) == (
        "no-run",
        "rule no-run denies ./x after it downloaded /src/x",
    )


def test_files_that_were_read(rules: Policy) -> None:
    send = ToolCall("Bash", "{}", commands=(Command(("scp", "a", "h:"), (), "/src"),))
    for path in ("/src/a/.env", "./.env", "/etc/shadow"):
        verdict = rules.decide(send, NOBODY, past("read", path))
        assert (verdict.action, verdict.rule) == ("ask", "no-send"), path
    assert rules.decide(send, NOBODY, past("read", "/src/env")).allowed


def test_a_connection_after_a_secret_was_read(rules: Policy) -> None:
    connect = Connect("a.example", 443, protocol="tls", sni="a.example")
    request = HttpRequest("POST", "https", "a.example", 443, "/", "a.example", "a.example")
    for asked in (connect, request):
        assert rules.decide(asked, NOBODY).rule == "rest"
        for path in ("~/.ssh/id", "/home/bob/.ssh/id", "/home/ann/.ssh/id"):
            verdict = rules.decide(asked, NOBODY, past("read", path, 400.0))
            assert verdict.rule == "no-leak"
            assert verdict.reason == (
                f"rule no-leak denies any to a.example after it read {path} 600 s ago: keys stay"
            )
        assert rules.decide(asked, NOBODY, past("read", "~/.ssh/id", 399.0)).allowed


def test_the_file_that_a_tool_names(rules: Policy) -> None:
    write = ToolCall("Write", '{"file_path": "/src/x"}')
    assert rules.decide(write, NOBODY, past("read", "/src/x")).rule == "no-rewrite"
    assert rules.decide(write, NOBODY, past("read", "/src/y")).allowed


def test_tool_calls_of_a_model_are_inspected_where_a_rule_says_so(rules: Policy) -> None:
    for host, inspect in (("api.example", True), ("b.example", False)):
        connect = Connect(host, 443, protocol="tls", sni=host)
        request = HttpRequest("POST", "https", host, 443, "/", host, host)
        for asked in (connect, request):
            verdict = rules.decide(asked, NOBODY)
            assert (verdict.allowed, verdict.obligations.tool_calls) == (True, inspect)


PARENT = """version: 1
name: parent
shell:
  default: deny
  opaque: deny
  execute-from: [/usr]
  rules: [{name: no-nc, deny: [nc]}, {name: git, allow: [git]}]
tools: {commands: {a: x, b: y}}
"""
CHILD = """version: 1
name: child
extends: [./parent.yaml]
shell:
  default: allow
  rules: [{name: nc, allow: [nc]}]
tools: {commands: {b: z}}
"""


def test_extends_adds_rules_and_the_last_file_decides_the_rest(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text(PARENT)
    (tmp_path / "child.yaml").write_text(CHILD)
    child = load_policy(tmp_path / "child.yaml")
    assert [rule.name for rule in child.resolved.shell.rules] == ["no-nc", "git", "nc"]
    assert (child.resolved.shell.default, child.resolved.shell.opaque) == ("allow", "deny")
    assert child.resolved.shell.default_source == "child.yaml:5"
    assert child.resolved.shell.opaque_source == "parent.yaml:5"
    assert child.execute_from == ("/usr",)
    assert child.command_arguments == {"a": "x", "b": "z"}
    verdict = child.decide(ToolCall("Bash", "{}", commands=(Command(("nc",)),)), NOBODY)
    assert verdict.rule == "no-nc", "a deny cannot be removed"
    (note,) = child.notes
    assert note.startswith("git, nc: an allow changes nothing where shell allows what no rule")
    assert Policy.parse(child.dump()).digest == child.digest
