"""`firewall policy`: check, test, explain and compare policies, and their JSON Schema.

Exit status: 0 all is well, 1 a policy or a test of one is wrong, 2 the command was not understood.
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from firewall.cli.bundle import bundle, keygen, verify
from firewall.cli.check import check, ci, test
from firewall.cli.coverage import coverage
from firewall.cli.difference import diff
from firewall.cli.learn import learn
from firewall.cli.options import LabelOption
from firewall.cli.policies import console, loaded, notes, problem
from firewall.cli.replay import replay

if TYPE_CHECKING:
    from rich.table import Table

    from firewall.policy import Policy
    from firewall.policy.explain import Explanation

app = typer.Typer(no_args_is_help=True, help="Check, test, explain and compare policies.")
app.command()(check)
app.command()(test)
app.command()(coverage)
app.command()(ci)
app.command()(replay)
app.command()(diff)
app.command()(learn)
app.command()(keygen)
app.command()(bundle)
app.command()(verify)

_REQUEST = (
    '"POST https://host/path", "ssh git@host", "tcp host:port", "dns name TXT", "shell: git push",'
    ' "exec: /usr/bin/nc -l", "gpu: /usr/bin/python3 train.py" or'
    ' \'tool: Bash {"command": "git push"}\''
)


@app.command()
def explain(
    request: Annotated[str, typer.Argument(help=_REQUEST)],
    policy: Annotated[str, typer.Option("--policy", "-p", help="A file, or a preset's name.")],
    program: Annotated[str, typer.Option(help="The path of the program that asks.")] = "",
    directory: Annotated[str, typer.Option(help="Where a program or tool works.")] = "/work",
    body: Annotated[
        str | None, typer.Option(help="The body of an HTTP request, in JSON: GraphQL, JSON-RPC.")
    ] = None,
    label: LabelOption = None,
    date: Annotated[
        str | None, typer.Option(help="The day, as 2026-12-31 (default: today).")
    ] = None,
) -> None:
    """Say what a policy makes of a request, by which rule, and why not by the others."""
    from firewall.cli.reader import CommandReader
    from firewall.deeds import Past
    from firewall.history import utc_day
    from firewall.policy.errors import Fault
    from firewall.policy.explain import explain as explained
    from firewall.policy.holding import parse_date

    chosen = loaded(policy, label or ())
    try:
        past = Past(today=parse_date(date) if date else utc_day())
        explanation = explained(chosen, request, CommandReader(), program, directory, past, body)
    except Fault as fault:
        problem(str(fault))
        raise typer.Exit(2) from None
    _verdict(explanation)
    _considered(explanation)
    _learned(chosen)
    notes(chosen)


@app.command()
def schema(
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a reference for people instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of policy files, for editors."""
    import json

    from firewall.policy.document import PolicyDocument
    from firewall.policy.reference import reference

    if markdown:
        sys.stdout.write(reference())
        return
    sys.stdout.write(json.dumps(PolicyDocument.model_json_schema(by_alias=True), indent=2) + "\n")


def _verdict(explanation: "Explanation") -> None:
    from rich.markup import escape

    verdict = explanation.verdict
    colour = {"allow": "green", "ask": "yellow"}.get(verdict.action, "red")
    observed = "" if verdict.enforced else " (mode: observe, so it would pass and be recorded)"
    rows = [
        f"[bold {colour}]{verdict.action}[/] {escape(explanation.asked)}{observed}",
        f"  rule    {verdict.rule} ({escape(verdict.source)})",
        f"  reason  {escape(verdict.reason)}",
    ]
    for limit in verdict.obligations.limits:
        whole = "" if limit.rule else ", of the whole network"
        rows.append(f"  limit   {limit}{whole} ({escape(limit.source)})")
    if verdict.owner:
        rows.append(f"  owner   {escape(verdict.owner)}")
    if verdict.remedy:
        rows.append(f"  remedy  {escape(verdict.remedy)}")
    for row in rows:
        console().print(row, soft_wrap=True)


def _considered(explanation: "Explanation") -> None:
    from rich.markup import escape

    from firewall.workloads import Workload

    if not explanation.considered:
        return
    table = _table("every rule considered", "rule", "where", "applies", "why")
    for each in explanation.considered:
        owner = "" if isinstance(each.rule, Workload) else each.rule.owner
        about = (each.rule.reason, f"owner {owner}" if owner else "")
        purpose = "".join(f"\n{text}" for text in about if text)
        applies = "yes" if each.applies else "no"
        where = escape(each.rule.source)
        table.add_row(each.rule.name, where, applies, escape(each.why + purpose))
    console().print(table)


def _learned(policy: "Policy") -> None:
    from rich.markup import escape

    if not policy.resolved.learned:
        return
    table = _table("hosts learned from this machine's tools", "rule", "tool", "from", "why")
    for each in policy.resolved.learned:
        table.add_row(each.rule, each.tool, escape(each.url), escape(each.why))
    console().print(table)


def _table(title: str, *names: str) -> "Table":
    """Long names are folded, never cut: people copy them into their policies."""
    from rich.table import Column, Table

    return Table(*(Column(name, overflow="fold") for name in names), title=title)
