"""Which tools are denied whatever their arguments, as the policy itself would decide."""

from pathlib import Path

import pytest

from firewall.actor import Actor
from firewall.policy import Policy, load_policy
from firewall.requests import ToolCall
from firewall.toolcalls.listing import unusable

TOOLS = ["read", "write", "pay", "other"]


def _policy(folder: Path, tools: str, mode: str = "enforce") -> Policy:
    path = folder / "p.yaml"
    path.write_text(f"version: 1\nname: p\nmode: {mode}\ntools:\n{tools}")
    return load_policy(path)


@pytest.mark.parametrize(
    ("tools", "hidden"),
    [
        ("  default: allow\n", set()),
        ("  default: deny\n", set(TOOLS)),
        ('  default: deny\n  rules:\n    - {name: a, allow: ["mcp__db__r*"]}\n', {*TOOLS[1:]}),
        ("  default: deny\n  rules:\n    - {name: a, ask: ['*y']}\n", {"read", "write", "other"}),
        ("  default: deny\n  rules:\n    - {name: a, allow: [read]}\n", set(TOOLS)),
        ("  rules:\n    - {name: a, deny: [write]}\n", {"write"}),
        ('  rules:\n    - {name: a, deny: ["mcp__db__*"]}\n', set(TOOLS)),
        ('  rules:\n    - {name: a, deny: [pay], where: {"$.n": {min: 9}}}\n', set()),
        (
            (
                "  default: deny\n  rules:\n"
                '    - {name: a, allow: ["*pay"], where: {"$.n": {max: 9}}}\n'
            ),
            {"read", "write", "other"},
        ),
    ],
)
def test_a_tool_is_hidden_where_no_arguments_could_help(
    tmp_path: Path, tools: str, hidden: set[str]
) -> None:
    policy = _policy(tmp_path, tools)
    assert set(unusable(policy, "db", TOOLS)) == hidden
    for tool in hidden:
        call = ToolCall(tool, '{"n": 1}', server="db")
        assert policy.decide(call, Actor("a")).action == "deny"


def test_nothing_is_hidden_where_nothing_is_enforced(tmp_path: Path) -> None:
    assert not unusable(_policy(tmp_path, "  default: deny\n", "observe"), "db", TOOLS)
