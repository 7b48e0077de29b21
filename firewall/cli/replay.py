"""`firewall policy replay`: which verdicts of an audit log a policy would change."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firewall.cli.logs import Log, log_directory, readable
from firewall.cli.options import LabelOption
from firewall.cli.policies import PolicyName, loaded

if TYPE_CHECKING:
    from firewall.policy.replay import Comparison, Group, Outcome

AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
FailOnChange = Annotated[
    bool,
    typer.Option(
        "--fail-on-change", help="Exit 1 where an outcome changes, or no request could be decided."
    ),
]


def replay(
    policy: PolicyName,
    log: Log = None,
    *,
    label: LabelOption = None,
    as_json: AsJson = False,
    fail_on_change: FailOnChange = False,
) -> None:
    """Decide the requests of an audit log again and list the outcomes that would change."""
    from firewall.audit import read
    from firewall.policy.replay import replay as replayed

    tried, directory = loaded(policy, label or ()), log_directory(log)
    with readable(directory):
        found = replayed(tried, read(directory))
    if as_json:
        typer.echo(json.dumps({"policy_digest": tried.digest, **as_object(found)}))
    else:
        for text in told(found):
            typer.echo(text)
    raise typer.Exit(int(fail_on_change and fails(found)))


def fails(found: "Comparison") -> bool:
    """Whether to call it a change: nothing that could be decided proves nothing."""
    return bool(found.groups) or not found.same


def told(found: "Comparison") -> Iterator[str]:
    """The comparison in lines for people."""
    yield f"{found.changed} of {found.changed + found.same} requests would end otherwise"
    for group in found.groups:
        yield from _told_group(group)
    if found.other_rule:
        yield f"{found.other_rule} others end the same by another rule"
    for why, each in sorted(found.skipped.items()):
        yield f"not decided again: {each.count} (such as {each.example}): {why}"


def _told_group(group: "Group") -> Iterator[str]:
    from firewall.cli.lines import printable

    before, after = _told_outcome(group.before), _told_outcome(group.after)
    yield f"  {group.count:>7}  {before} -> {after}"
    yield f"           such as {group.example.at}  {_asked(group)}"
    yield f"           because {printable(group.reason, limit=400)}"
    if group.doubt:
        yield f"           but perhaps not: {group.doubt}"


def _told_outcome(outcome: "Outcome") -> str:
    from firewall.cli.lines import printable

    observed = ", observed only" if outcome.observed else ""
    return f"{outcome.effect.upper()} ({printable(outcome.rule)}{observed})"


def _asked(group: "Group") -> str:
    from firewall.audit import describe
    from firewall.cli.lines import asked

    request = group.example.request
    return asked({"type": type(request).__name__, **describe(request)})


def as_object(found: "Comparison") -> dict[str, Any]:
    """The comparison as what JSON can hold."""
    from firewall.audit import describe

    return {
        "requests": found.changed + found.same,
        "changed": found.changed,
        "other_rule": found.other_rule,
        "groups": [
            {
                "before": describe(group.before),
                "after": describe(group.after),
                "count": group.count,
                "example": group.example.at,
                "asked": _asked(group),
                "reason": group.reason,
                "doubt": group.doubt,
            }
            for group in found.groups
        ],
        "skipped": [{"why": why, **describe(each)} for why, each in sorted(found.skipped.items())],
    }
