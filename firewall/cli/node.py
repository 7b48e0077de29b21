"""`firewall node`: one daemon for the many sandboxes of a machine, and the words to ask it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from firewall.cli.options import (
    CheckpointsOption,
    KeepOption,
    LabelOption,
    LogOption,
    MetricsOption,
)

if TYPE_CHECKING:
    from firewall.node.client import Node

app = typer.Typer(no_args_is_help=True, help="Serve the sandboxes of a machine; ask who does.")

FAILED = 1

Name = Annotated[str, typer.Argument(help="As `firewall node status` shows it.")]
PolicyName = Annotated[
    str, typer.Option("--policy", "-p", help="One of those that the node's file names.")
]
SocketOption = Annotated[
    str, typer.Option("--socket", envvar="FIREWALL_NODE", help="Where the node listens.")
]

_COLUMNS = ("name", "policy", "state", "pid", "owner", "worker", "started", "why")
_PLAIN = tuple(each for each in _COLUMNS if each != "worker")


@app.command()
def serve(
    config: Annotated[
        str, typer.Option("--config", "-c", help="The node's file.")
    ] = "/etc/firewall/node.yaml",
    log: LogOption = None,
    metrics: MetricsOption = None,
    checkpoints: CheckpointsOption = None,
    keep: KeepOption = None,
    inspect: Annotated[
        str, typer.Option(help="As for `firewall run`; fast needs no process for each sandbox.")
    ] = "fast",
    label: LabelOption = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Processes that serve the sandboxes; else the file says."),
    ] = None,
) -> None:
    """Serve until a signal ends it. As root: it goes into the networks of others."""
    from firewall.cli.nodedaemon import serve_node

    places = tuple(checkpoints or ())
    told = config, log, metrics, places, keep, inspect, tuple(label or ()), workers
    raise typer.Exit(serve_node(*told))


@app.command()
def attach(
    policy: PolicyName,
    pid: Annotated[int | None, typer.Option(help="A process that has no network.")] = None,
    namespace: Annotated[
        str | None, typer.Option(help="The path of a network namespace with nothing in it.")
    ] = None,
    container: Annotated[
        str | None, typer.Option(help="The id of a container that was started with no network.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the sandbox.")] = None,
    socket: SocketOption = "",
) -> None:
    """Give a container or a process without a network the one that leads to the firewall."""
    answer = _asked(
        socket,
        lambda node: node.attach(
            policy=policy, pid=pid, namespace=namespace, container=container, name=name
        ),
    )
    typer.echo(f"{_text(answer, 'name')} is attached, under the policy {policy}")
    if answer["trust"] == "environment":
        typer.echo("what runs there must be told of the firewall's CA: see docs/node.md")


@app.command()
def create(name: Name, policy: PolicyName, socket: SocketOption = "") -> None:
    """Make a network namespace that leads to the firewall, and print its path."""
    typer.echo(_text(_asked(socket, lambda node: node.create(policy=policy, name=name)), "path"))


@app.command()
def release(name: Name, socket: SocketOption = "") -> None:
    """Take the network away again: what runs there has no way out any more."""
    _asked(socket, lambda node: node.release(name))
    typer.echo(f"{name} has no way out any more")


@app.command()
def quarantine(
    name: Name,
    *,
    freeze: Annotated[bool, typer.Option("--freeze", help="Stop its processes as well.")] = False,
    socket: SocketOption = "",
) -> None:
    """Cut every flow of a sandbox and deny all that follows, until it is reopened."""
    answer = _asked(socket, lambda node: node.quarantine(name, freeze=freeze))
    typer.echo(f"{name} is {_text(answer, 'state')}; firewall node reopen {name} undoes it")


@app.command()
def reopen(name: Name, socket: SocketOption = "") -> None:
    """End a quarantine."""
    _asked(socket, lambda node: node.reopen(name))
    typer.echo(f"{name} is open again: new requests are judged by its policy")


@app.command()
def status(socket: SocketOption = "") -> None:
    """Show the sandboxes of this machine's node that the caller may see."""
    found = _asked(socket, lambda node: node.status())
    columns = _COLUMNS if any("worker" in each for each in found) else _PLAIN
    table = [columns, *(tuple(_cell(each, column) for column in columns) for each in found)]
    widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
    for row in table:
        typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def _asked[Answer](socket: str, ask: "Callable[[Node], Answer]") -> Answer:
    from firewall.node.client import SOCKET, Node, NodeError

    try:
        with Node(socket) as node:
            return ask(node)
    except NodeError as error:
        _fail(str(error))
    except OSError as error:
        _fail(
            f"no node answers at {socket or SOCKET}: {error.strerror or error}; is `firewall node"
            " serve` running, and may this user ask it?"
        )


def _cell(told: dict[str, Any], column: str) -> str:
    """Of a worker also whether it serves by the policy in force yet."""
    late = column == "worker" and not told["current"]
    return _text(told, column) + (" (starts or is told)" if late else "")


def _text(answer: dict[str, Any], name: str) -> str:
    from firewall.cli.lines import printable

    return printable(answer.get(name, "?"))


def _fail(message: str) -> NoReturn:
    from firewall.cli.lines import printable

    typer.echo(f"firewall: {printable(message)}", err=True)
    raise typer.Exit(FAILED)
