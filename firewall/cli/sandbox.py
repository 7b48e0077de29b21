"""`firewall sandbox`: what runs, and the quarantine of one of them by hand."""

from typing import Annotated, Any, NoReturn

import typer

from firewall.places import control_directory

app = typer.Typer(no_args_is_help=True, help="List running firewalls; close and release one.")

FAILED = 1

Name = Annotated[str, typer.Argument(help="As `firewall sandbox list` shows it.")]

_COLUMNS = ("name", "pid", "policy", "started", "state", "workers", "why")
_PLAIN = tuple(each for each in _COLUMNS if each != "workers")


@app.command("list")
def show() -> None:
    """Show the firewalls that run with this state directory, and the state of their egress."""
    rows = [each for name in _running() if (each := _status(name))]
    if not rows:
        typer.echo(f"no firewall runs with the state directory {control_directory().parent}")
        return
    columns = _COLUMNS if any(each.get("workers") for each in rows) else _PLAIN
    table = [columns, *(_row(each, columns) for each in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
    for row in table:
        typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())


@app.command()
def release(name: Name) -> None:
    """Open the egress of a sandbox again, and continue its processes where they were frozen."""
    _ask(name, {"do": "release"})
    typer.echo(f"{name} is released: new requests are judged by its policy again")


@app.command()
def quarantine(
    name: Name,
    *,
    freeze: Annotated[bool, typer.Option("--freeze", help="Stop its processes as well.")] = False,
) -> None:
    """Cut every flow of a sandbox and deny all that follows, until it is released."""
    status = _ask(name, {"do": "quarantine", "freeze": freeze})
    typer.echo(f"{name} is {_text(status, 'state')}; firewall sandbox release {name} undoes it")


def _row(status: dict[str, Any], columns: tuple[str, ...]) -> tuple[str, ...]:
    why = _text(status, "why")
    if why:
        status = {**status, "why": f"since {_text(status, 'since')}: {why}"}
    if status.get("workers_current") != status.get("workers"):
        current, workers = status["workers_current"], status["workers"]
        status = {**status, "policy": f"{status['policy']} ({current} of {workers} workers)"}
    status = {**status, "workers": _workers(status)}
    return tuple(_text(status, column) for column in columns)


def _workers(status: dict[str, Any]) -> str:
    """Who serves, with how many flows each, and how often one had to be started anew."""
    if not status.get("workers"):
        return ""
    flows = status["worker_flows"]
    told = [f"{len(flows)} of {status['workers']} serve", f"{'+'.join(map(str, flows))} flows"]
    if restarts := status["worker_restarts"]:
        told.append(f"{restarts} restarts")
    return ", ".join(told)


def _text(status: dict[str, Any], name: str) -> str:
    from firewall.cli.lines import printable

    return printable(status.get(name, "?"))


def _running() -> list[str]:
    from firewall.proxy import control

    directory = control_directory()
    try:
        return control.running(directory)
    except OSError as error:
        _fail(f"{directory} cannot be read: {error.strerror}")


def _status(name: str) -> dict[str, Any] | None:
    """None where it has ended meanwhile."""
    from firewall.proxy import control

    try:
        return control.ask(control_directory(), name, {"do": "status"})
    except OSError:
        return None


def _ask(name: str, request: dict[str, Any]) -> dict[str, Any]:
    from firewall.proxy import control

    names = _running()
    if name not in names:
        _fail(f"no firewall {name!r} runs here; there are: {', '.join(names) or 'none'}")
    try:
        answer = control.ask(control_directory(), name, request)
    except OSError as error:
        _fail(f"{name} does not answer: {error}")
    if "error" in answer:
        _fail(_text(answer, "error"))
    return answer


def _fail(message: str) -> NoReturn:
    typer.echo(f"firewall: {message}", err=True)
    raise typer.Exit(FAILED)
