"""`firewall audit`: read the records, tell one, check them all, replace the key that signs them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from firewall.cli.logs import Log, fail, log_directory, readable
from firewall.cli.query import query, stats
from firewall.cli.report import report
from firewall.cli.ship import ingest, ship
from firewall.places import authority_directory
from firewall.verdict import Action

app = typer.Typer(no_args_is_help=True, help="Read and check the audit log.")

EXITS = {
    "intact": 0,
    "tampered": 1,
    "missing": 1,
    "torn": 3,
    "truncated": 4,
    "unsigned": 5,
    "gap": 6,
    "backwards": 7,
}
"""What `verify` ends with; 2 is a log that cannot be read."""

app.command()(query)
app.command()(stats)
app.command()(report)
app.command()(ship)
app.command()(ingest)


@app.command()
def tail(
    log: Log = None,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new records.")] = False,
    count: Annotated[int, typer.Option("-n", "--lines", min=0, help="Records to begin with.")] = 20,
) -> None:
    """Show the newest records, a line each."""
    from firewall.audit import heads, last, read

    directory = log_directory(log)
    with readable(directory):
        known = heads(directory)
        for record in last(directory, count):
            if record.get("seq", 0) <= known.get(str(record.get("chain")), 0):
                _print_line(record)
        if follow:
            for record in read(directory, follow=True, after=known):
                _print_line(record)


@app.command()
def show(
    log: Log = None,
    *,
    seq: Annotated[str | None, typer.Option(help="One record, as CHAIN:NUMBER.")] = None,
    verdict: Annotated[Action | None, typer.Option(help="What was decided.")] = None,
    rule: Annotated[str | None, typer.Option(help="The rule's name.")] = None,
    tool_call: Annotated[
        str | None, typer.Option(help="All that one tool call led to, by its id.")
    ] = None,
) -> None:
    """Tell one record: that of --seq, or the newest that matches (by default, the newest deny).

    With --tool-call, tell the call, the programs it started, and what they reached.
    """
    directory = log_directory(log)
    if tool_call is not None:
        _print_thread(directory, tool_call)
        return
    if seq is None and verdict is None and rule is None:
        verdict = Action.DENY
    with readable(directory):
        found = _by_seq(directory, seq) if seq else _newest(directory, verdict, rule)
    if found is None:
        fail(f"{directory}: no such record")
    _print_story(_with_history(directory, found), _follow_up(directory, found))


def _print_thread(directory: Path, call_id: str) -> None:
    """A call and what followed from it, in order; what was blocked is told whole."""
    from firewall.audit import read

    with readable(directory):
        found = [each for each in read(directory) if _is_of_call(each, call_id)]
    if not found:
        fail(f"{directory}: no record of a tool call {call_id}")
    for record in found:
        _print_line(record)
    for record in found:
        if record["verdict"]["action"] == Action.DENY:
            typer.echo()
            _print_story(record, _follow_up(directory, record))


def _is_of_call(record: Mapping[str, Any], call_id: str) -> bool:
    if record.get("kind") != "verdict":
        return False
    request, actor = record.get("request", {}), record.get("actor", {})
    return call_id in (request.get("call_id"), actor.get("tool_call"))


@app.command()
def verify(
    log: Log = None,
    *,
    key: Annotated[
        str | None,
        typer.Option(help="The public key, or its file (default: this machine's audit-key.pub)."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="Checkpoints that were kept elsewhere, as a file.")
    ] = None,
) -> None:
    """Check every record and every signature, offline.

    Exit status: 0 intact, 1 changed or missing, 2 unreadable, 3 only a torn end, 4 cut off against
    a checkpoint, 5 not signed by the key, 6 records or checkpoints without a checkpoint, 7 times
    that run backwards.
    """
    from firewall.audit import verify as check
    from firewall.cli.verification import public_key, seen, told, told_checkpoints

    directory = log_directory(log)
    with readable(directory):
        found = check(directory, public_key(key), seen(checkpoint or []))
    for chain in found.chains:
        typer.echo(told(chain))
    typer.echo(told_checkpoints(found))
    raise typer.Exit(EXITS[found.status])


@app.command("rotate-key")
def rotate_key() -> None:
    """Replace the key that signs checkpoints by a new one, in a note that both sign."""
    from firewall.audit import AuditError, keys

    try:
        keys.ensure(authority_directory())
        old, new = keys.rotate(authority_directory())
    except (AuditError, OSError) as error:
        fail(f"the key cannot be replaced: {error}")
    typer.echo(f"was {old}\nnow {new}")


def _by_seq(directory: Path, seq: str) -> Mapping[str, Any] | None:
    from firewall.audit import find

    chain, _, number = seq.rpartition(":")
    if not chain or not number.isdecimal():
        raise typer.BadParameter(f"{seq!r} is no record; write CHAIN:NUMBER, as in gate-0:17")
    return find(directory, chain, int(number))


def _newest(directory: Path, action: Action | None, rule: str | None) -> Mapping[str, Any] | None:
    from firewall.audit import read
    from firewall.cli.lines import part

    newest = None
    for record in read(directory):
        verdict = part(record, "verdict")
        if action in (None, verdict.get("action")) and rule in (None, verdict.get("rule")):
            newest = record if verdict else newest
    return newest


def _print_line(record: Mapping[str, Any]) -> None:
    from rich.console import Console

    from firewall.cli.lines import line, styled

    console = Console(emoji=False)
    if console.is_terminal:
        console.print(styled(record))
    else:
        typer.echo(str(line(record)))


def _follow_up(directory: Path, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the GPUs did in the minute after, where that is recorded already."""
    from firewall.audit import read
    from firewall.cli.gpu_story import moments
    from firewall.cli.lines import part

    moment = part(record, "gpu").get("moment")
    if moment is None:
        return None
    with readable(directory):
        return next((each for each in read(directory) if str(moment) in moments(each)), None)


def _with_history(directory: Path, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record with the minute before, which in a flood the first record of its moment tells."""
    from firewall.audit import read
    from firewall.cli.lines import part

    gpu = part(record, "gpu")
    if gpu.get("moment") is None or gpu.get("history"):
        return record
    with readable(directory):
        same = (part(each, "gpu") for each in read(directory))
        whole = next((each for each in same if each.get("moment") == gpu["moment"]), gpu)
    return {**record, "gpu": {**gpu, "history": whole.get("history")}}


def _print_story(record: Mapping[str, Any], after: Mapping[str, Any] | None = None) -> None:
    from firewall.cli.lines import line, part
    from firewall.cli.story import alert_story, story

    if "verdict" not in record:
        typer.echo(str(line(record)))
        for text in alert_story(record) if record.get("kind") == "gpu-alert" else ():
            typer.echo(text)
        if trigger := part(record, "trigger"):
            typer.echo(f"  upon  {line({'time': record.get('time'), **trigger})}")
        return
    for text in story(record, after):
        typer.echo(text)
