"""`firewall sidecar`: a gate beside the agent, where both share one network."""

from pathlib import Path
from typing import Annotated

import typer

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
from firewall.sidecar import UID

app = typer.Typer(no_args_is_help=True, help="Guard an agent from beside it, in a shared network.")

FAILED = 1

UidOption = Annotated[
    int, typer.Option("--uid", min=0, max=2**32 - 2, help="The gate's own user, by number.")
]


@app.command()
def init(
    uid: UidOption = UID,
    inbound: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=65535, help="A TCP port of the gate that the outside may reach, for probes."
        ),
    ] = None,
    *,
    explicit: Annotated[
        bool,
        typer.Option("--explicit", help="Lead nothing to the gate: only its proxy has a way out."),
    ] = False,
) -> None:
    """Let only the gate's user out of this network; needs CAP_NET_ADMIN, once."""
    from firewall.sidecar.rules import Settings, install

    try:
        whole = install(Settings(uid, tuple(inbound or ()), transparent=not explicit))
    except (OSError, ValueError) as error:
        typer.echo(f"firewall: {error}", err=True)
        raise typer.Exit(FAILED) from None
    typer.echo(f"only user {uid} has a way out of this network")
    if not whole:
        typer.echo("but this kernel holds no frames back: give the agent no CAP_NET_RAW", err=True)


@app.command()
def check(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of Kubernetes.")],
) -> None:
    """Say what would let a pod's agent past the gate beside it."""
    from firewall.cli.pods import checked

    results = [checked(each) for each in manifests]
    raise typer.Exit(0 if all(results) else FAILED)


@app.command()
def serve(
    policy: PolicyOption,
    uid: UidOption = UID,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where the proxy listens on loopback.")
    ] = 3128,
    trust: Annotated[
        Path | None,
        typer.Option(help="A folder shared with the agent, for the certificates it must trust."),
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(help="A folder with tls.crt and tls.key of the authority to use, if there."),
    ] = None,
    log: LogOption = None,
    metrics: MetricsOption = None,
    checkpoints: CheckpointsOption = None,
    keep: KeepOption = None,
    inspect: InspectOption = "fast",
    workers: WorkersOption = 1,
    label: LabelOption = None,
    live: Annotated[bool, typer.Option(help="Show each verdict on stderr as it is made.")] = False,
) -> None:
    """Be the gate, as the user whom `firewall sidecar init` was told, without a capability."""
    from firewall.cli.beside import Beside, serve_beside
    from firewall.cli.plan import Options

    options = Options(
        policy, log, metrics, checkpoints or (), keep, inspect, workers, label or (), live
    )
    raise typer.Exit(serve_beside(options, Beside(uid, port, trust, authority)))
