"""`firewall audit`: read the records, tell one, check them all."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from firewall.cli.places import LOG_HELP, state_directory
from firewall.verdict import Action

if TYPE_CHECKING:
    from firewall.audit.verify import ChainReport

app = typer.Typer(no_args_is_help=True, help="Read and check the audit log.")

EXIT_INTACT, EXIT_TAMPERED, EXIT_UNREADABLE, EXIT_TORN = 0, 1, 2, 3

_EXITS = {
    "intact": EXIT_INTACT,
    "torn": EXIT_TORN,
    "missing": EXIT_TAMPERED,
    "tampered": EXIT_TAMPERED,
}

Log = Annotated[Path | None, typer.Option("--log", help=LOG_HELP)]


@app.command()
def tail(
    log: Log = None,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new records.")] = False,
    count: Annotated[int, typer.Option("-n", "--lines", min=0, help="Records to begin with.")] = 20,
) -> None:
    """Show the newest records, a line each."""
    from firewall.audit import heads, last, read

    directory = _directory(log)
    with _readable(directory):
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
) -> None:
    """Tell one record: that of --seq, or the newest that matches (by default, the newest deny)."""
    directory = _directory(log)
    if seq is None and verdict is None and rule is None:
        verdict = Action.DENY
    with _readable(directory):
        found = _by_seq(directory, seq) if seq else _newest(directory, verdict, rule)
    if found is None:
        _fail(f"{directory}: no such record")
    _print_story(found)


@app.command()
def verify(log: Log = None) -> None:
    """Check every record. Exit status: 0 intact, 1 changed or missing, 3 only a torn end."""
    from firewall.audit import verify as check

    directory = _directory(log)
    with _readable(directory):
        report = check(directory)
    for chain in report.chains:
        typer.echo(_told(chain))
    raise typer.Exit(_EXITS[report.status])


def _told(chain: "ChainReport") -> str:
    from firewall.cli.lines import printable

    name = printable(chain.chain)
    if chain.status != "intact":
        holds = f"records 1 to {chain.records} hold" if chain.records else "no record holds"
        return (
            f"{name}: {chain.status} at {printable(chain.where)}: {printable(chain.why)}; {holds}"
        )
    end = "" if chain.closed else " (not closed: still running, killed, or its end was cut off)"
    return f"{name}: intact, {chain.records} records{end}"


def _directory(log: Path | None) -> Path:
    return log if log is not None else state_directory() / "audit"


@contextmanager
def _readable(directory: Path) -> Iterator[None]:
    """Turn what keeps the log from being read into a message and exit status 2."""
    try:
        yield
    except OSError as error:
        _fail(f"the audit log in {directory} cannot be read: {error}")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(EXIT_UNREADABLE)


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

    console = Console()
    if console.is_terminal:
        console.print(styled(record))
    else:
        typer.echo(str(line(record)))


def _print_story(record: Mapping[str, Any]) -> None:
    from firewall.cli.lines import line, part
    from firewall.cli.story import story

    if "verdict" not in record:
        typer.echo(str(line(record)))
        if trigger := part(record, "trigger"):
            typer.echo(f"  upon  {line({'time': record.get('time'), **trigger})}")
        return
    for text in story(record):
        typer.echo(text)
