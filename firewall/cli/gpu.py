"""`firewall gpu`: who uses the GPUs, and whether they should."""

from typing import Annotated

import typer

from firewall.cli.options import (
    CheckpointsOption,
    KeepOption,
    LogOption,
    MetricsOption,
    PolicyOption,
)

app = typer.Typer(
    no_args_is_help=True, help="See who uses the GPUs, and be told of who should not."
)


@app.callback()
def main() -> None:
    """See who uses the GPUs, and be told of who should not."""


@app.command()
def watch(
    policy: PolicyOption,
    log: LogOption = None,
    metrics: MetricsOption = None,
    checkpoints: CheckpointsOption = None,
    keep: KeepOption = None,
) -> None:
    """Watch the GPUs of a training node by a policy, without a proxy: alert, record, respond."""
    from firewall.cli.gpu_watch import watch_gpus
    from firewall.cli.plan import Options

    raise typer.Exit(watch_gpus(Options(policy, log, metrics, checkpoints or (), keep)))


@app.command()
def top(
    *,
    once: Annotated[bool, typer.Option("--once", help="Show them once, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON a reading.")
    ] = False,
) -> None:
    """Show the GPUs, the processes on them and whose they are, anew each second.

    With --once the exit status is 1 where they cannot be read.
    """
    from firewall.cli.gpu_top import show_gpus

    raise typer.Exit(show_gpus(once=once, as_json=as_json))
