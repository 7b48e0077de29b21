"""`firewall approvals`: what waits for a person, and the person's answers."""

import os
import pwd
import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from firewall.places import approvals_directory

if TYPE_CHECKING:
    from firewall.toolcalls.spool import How, Question, Spool

app = typer.Typer(
    no_args_is_help=True,
    help="Allow or deny what the policy leaves to a person. Whatever nobody answers in time is"
    " denied.",
)

FAILED = 1
LOOK_SECONDS = 0.5
_COLUMNS = ("id", "left", "rule", "what", "who", "since")

Id = Annotated[str, typer.Argument(help="As `firewall approvals list` shows it.")]


@app.command("list")
def show() -> None:
    """Show what waits: the seconds left, the rule that asks, what is asked for, and by whom."""
    rows = [_row(each) for each in _waiting()]
    if not rows:
        typer.echo("nothing waits for a person")
        return
    table = [_COLUMNS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    for row in table:
        typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())


@app.command()
def watch() -> None:
    """Print questions as they come, until interrupted."""
    known: set[str] = set()
    while True:
        waiting = _waiting()
        for each in waiting:
            if each.id not in known:
                typer.echo("  ".join(_row(each)))
        known = {each.id for each in waiting}
        time.sleep(LOOK_SECONDS)


@app.command()
def allow(
    name: Id,
    *,
    session: Annotated[
        bool,
        typer.Option(
            "--session",
            help="Also whatever is like it until the sandbox ends: the same tool (in the same"
            " tool-call session) or the same program, whatever its arguments, under the same rule.",
        ),
    ] = False,
    rule: Annotated[
        bool,
        typer.Option("--rule", help="Show the change to the policy that would allow it always."),
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="With --rule: make that change, and allow it.")
    ] = False,
) -> None:
    """Allow a request once. The programs that it runs may start for five minutes."""
    if (session and rule) or (write and not rule):
        _fail("--session and --rule exclude each other, and --write goes with --rule")
    question = _question(name)
    if rule and not _ruled(question, write=write):
        return
    _answer(question, allow=True, how="session" if session else "rule" if rule else "once")
    typer.echo(f"{name} is allowed{' for this session' if session else ''}")


@app.command()
def deny(
    name: Id,
    reason: Annotated[str, typer.Option(help="What the agent and the record are told.")] = "",
) -> None:
    """Deny a request."""
    _answer(_question(name), allow=False, reason=reason)
    typer.echo(f"{name} is denied")


def _ruled(question: "Question", *, write: bool) -> bool:
    """Show the change, and make it where that was asked for; whether it was made."""
    from firewall.cli.consent import ConsentError, consent

    try:
        change = consent(question)
        typer.echo(change.diff, nl=False)
        for each in change.notes:
            typer.echo(f"note: {each}")
        if write:
            change.write()
        else:
            typer.echo(f"firewall approvals allow {question.id} --rule --write does this")
    except (ConsentError, OSError) as error:
        _fail(str(error))
    return write


def _answer(question: "Question", *, allow: bool, how: "How" = "once", reason: str = "") -> None:
    from firewall.toolcalls.spool import Answer, AnsweredError

    by, uid = _person()
    try:
        _spool().answer(question.id, Answer(allow, by, uid, how, reason))
    except FileNotFoundError:
        _fail(f"{question.id} waits no longer")
    except (AnsweredError, OSError) as error:
        _fail(str(error))


def _person() -> tuple[str, int]:
    """Who types this: whoever called sudo, where somebody did."""
    uid = int(os.environ.get("SUDO_UID", "0")) if os.getuid() == 0 else os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name, uid
    except KeyError:
        return f"uid {uid}", uid


def _question(name: str) -> "Question":
    question = _spool().find(name)
    if question is None:
        names = ", ".join(each.id for each in _waiting())
        _fail(f"nothing waits as {name!r}; there is: {names or 'nothing'}")
    return question


def _waiting() -> "list[Question]":
    try:
        return _spool().questions()
    except OSError as error:
        _fail(f"{approvals_directory()} cannot be read: {error.strerror}")


def _spool() -> "Spool":
    from firewall.toolcalls.spool import Spool

    return Spool(approvals_directory())


def _row(question: "Question") -> tuple[str, ...]:
    from firewall.cli.lines import asked, printable, process

    who = process(question.process)
    left = max(0, round(question.until - time.time()))
    since = f"{time.strftime('%H:%M:%S', time.localtime(question.asked))}"
    return (
        question.id,
        f"{left} s",
        printable(question.rule),
        asked(question.request),
        " ".join(each for each in (printable(question.sandbox), who) if each),
        since,
    )


def _fail(message: str) -> NoReturn:
    from firewall.cli.lines import printable

    typer.echo(f"firewall: {printable(message, 2000)}", err=True)
    raise typer.Exit(FAILED)
