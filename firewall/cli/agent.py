"""The commands that an agent runs under, apart from the others, because the agent waits for them.

Each command's work is in a module of its own, imported when it runs.
"""

import shlex
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from firewall.cli.options import (
    CheckpointsOption,
    InspectOption,
    KeepOption,
    LabelOption,
    LogOption,
    MetricsOption,
    PolicyOption,
    WorkersOption,
)

app = typer.Typer(
    name="firewall",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from firewall import __version__

        typer.echo(f"firewall {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which this is.")
    ] = False,
) -> None:
    """An egress firewall for AI agents: run one in a sandbox with no other way out."""


class _AgentCommand(TyperCommand):
    """Tells whoever wrote --policy among the agent's own words that it goes before them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if error.param and error.param.name == "policy" and "--policy" in words:
                at = words.index("--policy")
                first = shlex.join([*words[at : at + 2], *words[:at], *words[at + 2 :]])
                error.message = f"It goes before the agent's command: firewall run {first}"
            raise


@app.command(cls=_AgentCommand, context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[
        list[str], typer.Argument(help="The agent and its arguments, best after --.")
    ],
    policy: PolicyOption,
    log: LogOption = None,
    metrics: MetricsOption = None,
    user: Annotated[
        str | None,
        typer.Option(
            help="As root: run the agent as this user (default: who called sudo, or nobody)."
        ),
    ] = None,
    checkpoints: CheckpointsOption = None,
    keep: KeepOption = None,
    inspect: InspectOption = "fast",
    workers: WorkersOption = 1,
    label: LabelOption = None,
    live: Annotated[bool, typer.Option(help="Show each verdict on stderr as it is made.")] = False,
) -> None:
    """Run an agent in a sandbox whose only way out is the firewall."""
    from firewall.cli.plan import Options
    from firewall.cli.run import run_agent

    options = Options(
        policy, log, metrics, checkpoints or (), keep, inspect, workers, label or (), live
    )
    raise typer.Exit(run_agent(tuple(command), options, user))


@app.command()
def serve(
    policy: PolicyOption,
    listen: Annotated[str, typer.Option(help="HOST:PORT to listen on.")] = "127.0.0.1:3128",
    log: LogOption = None,
    metrics: MetricsOption = None,
    checkpoints: CheckpointsOption = None,
    keep: KeepOption = None,
    inspect: InspectOption = "fast",
    workers: WorkersOption = 1,
    label: LabelOption = None,
    live: Annotated[bool, typer.Option(help="Show each verdict on stderr as it is made.")] = False,
) -> None:
    """Serve an HTTP and SOCKS5 proxy for agents that cannot be put into a sandbox."""
    from firewall.cli.plan import Options
    from firewall.cli.serve import serve_proxy

    options = Options(
        policy, log, metrics, checkpoints or (), keep, inspect, workers, label or (), live
    )
    raise typer.Exit(serve_proxy(options, listen))


@app.command(context_settings={"allow_interspersed_args": False})
def mcp(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="The MCP server and its arguments after --, or: trust SERVER [TOOL]"),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", "-p", help="Judge here, not by the service in FIREWALL_TOOLS."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What policies call this server (default: its program).")
    ] = None,
    url: Annotated[str | None, typer.Option(help="An MCP server that is reached by HTTP.")] = None,
    listen: Annotated[
        str, typer.Option(help="With --url: HOST:PORT where clients reach it.")
    ] = "127.0.0.1:3180",
    log: LogOption = None,
    label: LabelOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Before trust: accept unasked.")] = False,
) -> None:
    """Judge every tool call between MCP clients and a server, started here or reached by HTTP."""
    from firewall.cli.mcp import run_gateway, run_server, trust

    words = command or []
    if words[:1] == ["trust"]:
        raise typer.Exit(trust(words[1:], yes=yes))
    if bool(words) == bool(url):
        raise typer.BadParameter("write the server's command after --, or its URL after --url")
    if label and not policy:
        raise typer.BadParameter("labels are for --policy; else give them to firewall tools serve")
    own = (policy, log, tuple(label or ()))
    if url:
        raise typer.Exit(run_gateway(url, listen, name, *own))
    raise typer.Exit(run_server(words, name, *own))
