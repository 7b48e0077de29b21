"""`firewall policy diff`: what changes in effect from one policy to another."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firewall.cli.logs import readable
from firewall.cli.options import LabelOption
from firewall.cli.policies import PolicyName, loaded
from firewall.cli.replay import AsJson, as_object, fails, told

if TYPE_CHECKING:
    from firewall.policy import Policy
    from firewall.policy.difference import Difference, Term
    from firewall.policy.replay import Comparison

MEMBERS = 20
"""Members of one list that are told; of longer ones the number is told as well."""

VALUE = 1000
"""Characters of one value that are told: what differs may stand near its end."""

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def diff(
    old: PolicyName,
    new: PolicyName,
    log: Annotated[
        Path | None, typer.Option("--log", help="An audit log: decide its requests under both.")
    ] = None,
    *,
    label: LabelOption = None,
    as_json: AsJson = False,
    fail_on_change: Annotated[
        bool,
        typer.Option(
            "--fail-on-change",
            help="Exit 1 where rules differ; with --log, where outcomes do or none was decided.",
        ),
    ] = False,
) -> None:
    """Say what changes in effect: in the rules, and for the requests of an audit log."""
    from firewall.policy.difference import differences

    before, after = (loaded(name, label or ()) for name in (old, new))
    found = differences(before, after)
    compared = _compared(before, after, log) if log is not None else None
    if as_json:
        typer.echo(json.dumps(_as_object(found, compared)))
    else:
        for text in _told(found):
            typer.echo(text)
        for text in told(compared) if compared else ():
            typer.echo(text)
    changes = fails(compared) if compared else bool(found)
    raise typer.Exit(int(fail_on_change and changes))


def _compared(old: "Policy", new: "Policy", log: Path) -> "Comparison":
    from firewall.audit import read
    from firewall.policy.replay import replay_both

    with readable(log):
        return replay_both(old, new, read(log))


def _told(found: "tuple[Difference, ...]") -> Iterator[str]:
    from firewall.cli.lines import printable

    if not found:
        yield "the rules are the same"
    for each in found:
        yield f"{_SIGNS[each.change]} {printable(each.part)}: {each.change}"
        for term in each.terms:
            yield from _told_term(term)


def _told_term(term: "Term") -> Iterator[str]:
    for sign, members in (("-", term.removed), ("+", term.added)):
        if members:
            rest = f" and {len(members) - MEMBERS} more" if len(members) > MEMBERS else ""
            yield f"    {sign} {term.key}: {', '.join(map(_text, members[:MEMBERS]))}{rest}"


def _text(value: Any) -> str:
    from firewall.cli.lines import printable

    return printable(value if isinstance(value, str) else json.dumps(value), limit=VALUE)


def _as_object(found: "tuple[Difference, ...]", compared: "Comparison | None") -> dict[str, Any]:
    from firewall.audit import describe

    requests = as_object(compared) if compared else None
    return {"rules": [describe(each) for each in found], "requests": requests}
