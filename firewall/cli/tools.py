"""`firewall tools`: the tool-call service for agents that run in no sandbox of the firewall."""

import os
import secrets
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from firewall.cli.options import LOG_HELP, LabelOption

app = typer.Typer(no_args_is_help=True, help="Judge the tool calls of agents.")

FAILED = 125
TOKEN_BYTES = 32


@app.command()
def serve(
    policy: Annotated[
        str, typer.Option("--policy", "-p", help="A policy file, or the name of a preset.")
    ],
    where: Annotated[
        Path | None,
        typer.Option("--socket", help="The Unix socket (default: where `firewall hook` looks)."),
    ] = None,
    listen: Annotated[
        str | None, typer.Option(help="Serve HOST:PORT as well, to whoever has the token.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="The token's file; made where there is none.")
    ] = None,
    log: Annotated[Path | None, typer.Option("--log", help=LOG_HELP)] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Serve Prometheus metrics on HOST:PORT, or a local PORT.")
    ] = None,
    label: LabelOption = None,
    live: Annotated[bool, typer.Option(help="Show each verdict on stderr as it is made.")] = False,
) -> None:
    """Serve hooks, MCP proxies and the HTTP interface until SIGINT or SIGTERM."""
    from firewall.audit import AuditError
    from firewall.cli import signals
    from firewall.policy import PolicyError
    from firewall.sandbox import SandboxError

    signals.block()
    try:
        _serve(policy, where, listen, token_file, log, metrics, labels=label or (), live=live)
    except (PolicyError, AuditError, SandboxError, OSError, ValueError) as error:
        _say(str(error))
        raise typer.Exit(FAILED) from error
    finally:
        signals.unblock()


def _serve(
    policy_path: str,
    where: Path | None,
    listen: str | None,
    token_file: Path | None,
    log: Path | None,
    metrics: str | None,
    *,
    labels: Sequence[str],
    live: bool,
) -> None:
    from firewall.actor import Actor
    from firewall.cli import signals
    from firewall.cli.assembly import House, open_house
    from firewall.cli.listening import host_and_port, listener
    from firewall.cli.plan import Options, make_plan
    from firewall.policy import load_policy, sources
    from firewall.policy.holding import parse_labels
    from firewall.sandbox import ActorFinder
    from firewall.toolcalls import server
    from firewall.toolcalls.places import socket_path
    from firewall.toolcalls.service import Service

    if listen is not None and token_file is None:
        raise ValueError("--listen needs --token-file: anybody may reach a port")
    loaded = load_policy(policy_path, parse_labels(labels))
    plan = make_plan(Options(policy_path, log, metrics), loaded, kind="tools")
    path = where or Path(socket_path())
    finder = ActorFinder.of_host(plan.name)

    def signalled(house: House, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            house.loop.post(house.reload.now)
        elif number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            house.loop.stop()

    with ExitStack() as stack:
        unix = server.unix_listener(path)
        stack.callback(path.unlink, missing_ok=True)
        house = stack.enter_context(open_house(plan, finder, _say, live=live))
        service = Service(house.gate.judge, house.loop.post)
        users = frozenset({0, os.getuid()})
        identify = server.by_credentials(finder.process, users)
        stack.enter_context(closing(server.Server(unix, service, identify)))
        if listen is not None and token_file is not None:
            stranger = Actor(plan.name, unknown="it asked over TCP, with the token")
            known = server.by_token(_token(token_file), stranger)
            tcp = listener(*host_and_port(listen))
            stack.enter_context(closing(server.Server(tcp, service, known)))
        sources.seal()
        signals.listen(lambda number, _: signalled(house, number))
        _say(f"policy {plan.policy.name} in force; tool calls are judged at {path}")
        house.loop.run()
        house.teller.summarise(str(plan.audit))


def _token(path: Path) -> str:
    """The token in a file that nobody else may read; a new one where there is none."""
    if not path.exists():
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others; chmod 600 {path}")
    token = path.read_text().strip()
    if len(token) < 16:
        raise ValueError(f"the token in {path} is too short to be secret; remove it for a new one")
    return token


def _say(message: str) -> None:
    print(f"firewall: {message}", file=sys.stderr, flush=True)
