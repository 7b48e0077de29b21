"""Which rules of a policy its own tests exercise."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from firewall.frozen import frozen
from firewall.policy.actcases import Reader
from firewall.policy.bundle import ANYTHING
from firewall.policy.cases import run_cases
from firewall.policy.document import DenyKind
from firewall.policy.loading import load
from firewall.policy.policy import Policy
from firewall.policy.resolved import Resolved, ResolvedRule


@frozen
class Covered:
    """A rule, the line it stands on, a case that would exercise it, and how many cases do.

    A case exercises the rule that decides it, if it passes.
    """

    rule: str
    source: str
    example: str
    cases: int


def coverage(policy: Policy, tests: Path, read: Reader) -> list[Covered]:
    """Every rule, blocking guard and GPU workload that the policy's own file writes.

    What it inherits is for the tests beside the files that it extends, and hosts that are read from
    a machine's tools (`from:`) are no other machine's, so that no case can name them. Without a
    file of tests nothing is exercised. Raises PolicyError for a bad one.
    """
    passed = (
        (each for each in run_cases(policy, tests, read) if each.right) if tests.exists() else ()
    )
    counts = Counter(each.verdict.rule for each in passed)
    inherited = {
        (name, source)
        for parent in policy.sources[:-1]
        for name, source, _ in _written(load(parent, trust=ANYTHING))
    }
    return [
        Covered(name, source, example, counts[name])
        for name, source, example in dict.fromkeys(_written(policy.resolved))
        if (name, source) not in inherited
    ]


def _written(resolved: Resolved) -> Iterator[tuple[str, str, str]]:
    """The name, the source and an example of a case of all that can decide."""
    machines = {each.rule for each in resolved.learned}
    for rule in resolved.rules:
        if rule.name not in machines:
            yield rule.name, rule.source, _example(rule)
    for program in resolved.shell.rules:
        yield program.name, program.source, 'shell: "..."'
    for tool in resolved.tools.rules:
        yield tool.name, tool.source, "tool: {name: ..., arguments: {}}"
    for workload in resolved.gpu.workloads:
        yield workload.name, workload.source, "gpu: {program: ...}"
    for name, guard in resolved.guards.items():
        if guard.source and guard.action == "block":
            yield f"guards.{name}", guard.source, 'https: "GET https://.../", finding: "..."'


def _example(rule: ResolvedRule) -> str:
    if any(each.graphql or each.json_rpc or each.mcp for each in rule.requests):
        return f'{rule.kind}: "POST {rule.kind}://.../", body: {{...}}'
    return _NETWORK[rule.kind]


_NETWORK: dict[DenyKind, str] = {
    "https": 'https: "GET https://.../"',
    "http": 'http: "GET http://.../"',
    "ssh": 'ssh: "git@..."',
    "tcp": 'tcp: "...:PORT"',
    "any": 'tcp: "...:PORT"',
}
