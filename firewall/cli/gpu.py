"""`firewall gpu`: who uses the GPUs, and whether they should."""

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

    places = tuple(checkpoints or ())
    raise typer.Exit(watch_gpus(policy, log, metrics, checkpoints=places, keep=keep))
