"""Which tools a policy never allows, so that an agent need not be shown them."""

from collections.abc import Collection, Sequence

from firewall.policy import Policy
from firewall.policy.globs import Glob
from firewall.policy.resolved import ResolvedToolRule


def unusable(policy: Policy, server: str, tools: Sequence[str]) -> Collection[str]:
    """The tools of a server that are denied whatever their arguments."""
    if policy.mode == "observe":
        return ()
    return {tool for tool in tools if _denied(policy, server, tool)}


def _denied(policy: Policy, server: str, tool: str) -> bool:
    bare = not server or tool.startswith("mcp__")
    whole = tool if bare else f"mcp__{server}__{tool}"
    rules = policy.resolved.tools.rules
    outright = (each for each in rules if each.action == "deny" and not (each.where or each.after))
    if any(_names(rule, whole, tool) for rule in outright):
        return True
    granting = (each for each in rules if each.action != "deny")
    return policy.resolved.tools.default == "deny" and not any(
        _names(rule, whole) for rule in granting
    )


def _names(rule: ResolvedToolRule, *names: str) -> bool:
    globs = rule.tools
    return globs is None or any(Glob(text).matches(name) for text in globs for name in names)
