"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

LOG_HELP = "The audit log's folder (default: audit, in $FIREWALL_STATE or ~/.local/state/firewall)."

PolicyOption = Annotated[
    str, typer.Option("--policy", "-p", help="A policy file, or the name of a preset.")
]
LogOption = Annotated[Path | None, typer.Option("--log", help=LOG_HELP)]
MetricsOption = Annotated[
    str | None, typer.Option(help="Serve Prometheus metrics on HOST:PORT, or on a local PORT.")
]
CheckpointsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoints",
        help="Tell the log's signed checkpoints to a file, a URL, git:REPOSITORY[#BRANCH] or -.",
    ),
]
KeepOption = Annotated[
    str | None,
    typer.Option("--keep", help="How much of the log to keep, as 90d, 10GB or 90d,10GB."),
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label", help="What rules with labels are told of this run, as env=ci; may be repeated."
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=64,
        help="Processes that serve connections, each on a core and with a chain of records.",
    ),
]
InspectOption = Annotated[
    str,
    typer.Option(
        help="Where HTTP is inspected: fast (in the gate, as HTTP/1.1, with all clients that offer"
        " it), http2 (clients that offer HTTP/2 in the depth process), depth (all there)."
    ),
]
