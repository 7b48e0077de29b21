"""Rules about tools: names, servers, and what stands in the arguments."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from firewall.actor import Actor
from firewall.policy import Policy
from firewall.policy.errors import Fault
from firewall.policy.jsonpaths import UNREADABLE, parse, steps
from firewall.requests import Command, ToolCall
from firewall.verdict import Action

NOBODY = Actor(sandbox="test")

RULES = r"""
tools:
  commands: {my_tool: cmd}
  rules:
    - name: no-drop
      deny: ["mcp__db__*"]
      where: {"$.query": {matches: '(?i)\bdrop\b'}}
      reason: keep
    - {name: pay, ask: [transfer], where: {"$.amount": {min: 100}}}
    - {name: no-prod, deny: [deploy], where: {"$.target.env": prod, "$.force": true}}
    - {name: no-any-key, deny: [copy], where: {"$.files[*].path": {glob: "*.key"}}}
    - {name: no-first, deny: [list], where: {"$.items[0]": 1}}
    - {name: no-dry, deny: [apply], where: {"$.dry_run": {absent: true}}}
    - {name: no-shells, deny: [spawn]}
"""


@pytest.fixture
def rules(policy: Callable[[str], Policy]) -> Policy:
    return policy(RULES)


def call(tool: str, server: str = "", **arguments: Any) -> ToolCall:
    return ToolCall(tool, json.dumps(arguments), server=server)


HELD = [
    (call("mcp__db__query", query="DROP TABLE x"), "no-drop"),
    (call("query", server="db", query="a; drop table x"), "no-drop"),
    (call("mcp__db__query", query=["select 1", "drop x"]), "no-drop"),
    (call("mcp__db__query", query="drop \ud800"), "no-drop"),
    (call("transfer", amount=100), "pay"),
    (call("transfer", amount=1e9), "pay"),
    (call("transfer", amount="250"), "pay"),
    (ToolCall("transfer", '{"amount": 1, "amount": 500}'), "pay"),
    (ToolCall("transfer", '{"amount": NaN}'), "pay"),
    (ToolCall("transfer", "not JSON"), "pay"),
    (ToolCall("transfer", "[" * 100_000), "pay"),
    (call("deploy", target={"env": "prod"}, force=True), "no-prod"),
    (call("deploy", target={"env": "prod"}, force="true"), "no-prod"),
    (call("copy", files=[{"path": "a"}, {"path": "b.key"}]), "no-any-key"),
    (call("list", items=[1.0]), "no-first"),
    (call("apply", x=1), "no-dry"),
    (call("spawn", server="any"), "no-shells"),
]
PASSED = [
    call("mcp__db__query", query="select droplet"),
    call("mcp__web__query", query="drop"),
    call("query", query="drop"),
    call("transfer", amount=99),
    call("transfer", amount=True),
    call("transfer"),
    call("deploy", target={"env": "prod"}, force=1),
    call("deploy", target={"env": "production"}, force=True),
    call("deploy", target="prod", force=True),
    call("copy", files=[{"path": "a"}]),
    call("list", items=[2, 1]),
    call("list", items=[True]),
    call("apply", dry_run=None),
]


@pytest.mark.parametrize(("asked", "rule"), HELD)
def test_held_back(rules: Policy, asked: ToolCall, rule: str) -> None:
    verdict = rules.decide(asked, NOBODY)
    assert verdict.rule == rule
    assert verdict.action == (Action.ASK if rule == "pay" else Action.DENY)


@pytest.mark.parametrize("asked", PASSED)
def test_passed(rules: Policy, asked: ToolCall) -> None:
    verdict = rules.decide(asked, NOBODY)
    assert (verdict.action, verdict.rule) == (Action.ALLOW, "tools.default")


def test_the_reason_and_the_remedy(rules: Policy) -> None:
    verdict = rules.decide(call("query", server="db", query="drop"), NOBODY)
    assert verdict.reason == "rule no-drop denies the tool mcp__db__query with such $.query: keep"
    assert verdict.remedy.startswith("narrow or remove rule no-drop (test.yaml:7)")
    assert rules.command_arguments == {"my_tool": "cmd"}


STRICT = """
tools:
  default: deny
  rules:
    - {name: small, allow: [pay], where: {"$.items[*].cost": {max: 10}}}
    - {name: large, ask: [pay], where: {"$.total": {min: 100}}}
    - {name: reads, allow: [Read, mcp__db__get, Bash]}
shell:
  rules:
    - {name: no-nc, deny: [nc]}
"""


def test_an_allow_wants_every_value_to_fit(policy: Callable[[str], Policy]) -> None:
    strict = policy(STRICT)
    fits = strict.decide(call("pay", items=[{"cost": 1}, {"cost": 10}]), NOBODY)
    assert (fits.action, fits.rule) == (Action.ALLOW, "small")
    for asked in (
        call("pay", items=[{"cost": 1}, {"cost": 11}]),
        call("pay", items=[{"cost": "1"}]),
        call("pay", items=[]),
        ToolCall("pay", '{"items": [{"cost": 1}], "items": []}'),
        ToolCall("pay", "no JSON"),
    ):
        verdict = strict.decide(asked, NOBODY)
        assert (verdict.action, verdict.rule) == (Action.DENY, "tools.default"), asked
        assert "$.items[*].cost does not fit rule small" in verdict.reason
    assert strict.decide(call("pay", total=100), NOBODY).rule == "large"
    assert strict.decide(call("pay", total="100"), NOBODY).action is Action.DENY


def test_an_allow_of_a_bare_name_is_for_no_servers_tool(policy: Callable[[str], Policy]) -> None:
    strict = policy(STRICT)
    assert strict.decide(call("Read"), NOBODY).allowed
    assert strict.decide(call("get", server="db"), NOBODY).allowed
    denied = strict.decide(call("Read", server="evil"), NOBODY)
    assert denied.reason.startswith("no rule allows the tool mcp__evil__Read")
    assert denied.remedy == (
        'add to tools.rules: {name: mcp--evil--read, allow: ["mcp__evil__Read"]} (test.yaml)'
    )


def test_the_strictest_of_a_tool_and_all_that_it_runs_stands(
    policy: Callable[[str], Policy],
) -> None:
    strict = policy(STRICT)
    shell = ToolCall("Bash", "{}", commands=(Command(("ls",)), Command(("nc",), ("xargs",))))
    verdict = strict.decide(shell, NOBODY)
    assert (verdict.rule, verdict.reason) == (
        "no-nc",
        "rule no-nc denies nc (run through xargs)",
    )
    other = ToolCall("Other", "{}", commands=(Command(("ls",)),))
    assert strict.decide(other, NOBODY).rule == "tools.default"


@pytest.mark.parametrize("text", ["", "$", "a", "$a", "$.", "$.a[", "$.a[-1]", '$[""]', "$..a"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(Fault, match="is not a path into the arguments"):
        steps(text)


def test_paths_and_arguments() -> None:
    assert steps("""$.a-b["c d"]['e'][0][*].f""") == ("a-b", "c d", "e", 0, None, "f")
    assert parse('{"a": 1}') == {"a": 1}
    assert parse('{"a": Infinity}') is UNREADABLE


EXACT = """
tools:
  rules:
    - {name: careful, ask: [pay]}
    - {name: rent, allow: [pay], exactly: {arguments: {to: [ann, {n: 1}], amount: 100}}}
"""


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ('{"amount": 100, "to": ["ann", {"n": 1}]}', "rent"),
        ('{"amount": 100, "to": ["ann", {"n": true}]}', "careful"),
        ('{"amount": 100, "to": ["ann", {"n": 1}], "note": ""}', "careful"),
        ('{"amount": 100}', "careful"),
        ('{"amount": 100, "amount": 100, "to": ["ann", {"n": 1}]}', "careful"),
    ],
)
def test_a_call_that_is_allowed_exactly_is_not_asked_about(
    policy: Callable[[str], Policy], arguments: str, rule: str
) -> None:
    assert policy(EXACT).decide(ToolCall("pay", arguments), NOBODY).rule == rule
