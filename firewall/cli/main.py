"""The `firewall` command: all that it can do."""

from typing import Annotated

import typer

from firewall.cli import (
    approvals,
    audit,
    fleet,
    gpu,
    hook,
    node,
    policy,
    protocols,
    sandbox,
    sidecar,
    tools,
)
from firewall.cli.agent import app
from firewall.cli.options import LogOption

__all__ = ["app"]

app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(protocols.app, name="protocols")
app.add_typer(tools.app, name="tools")
app.add_typer(approvals.app, name="approvals")
app.add_typer(hook.app, name="hook")
app.add_typer(gpu.app, name="gpu")
app.add_typer(node.app, name="node")
app.add_typer(fleet.app, name="fleet")
app.add_typer(sidecar.app, name="sidecar")


@app.command()
def dashboard(
    log: LogOption = None,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT where a browser reaches it.")
    ] = "127.0.0.1:3190",
    key: Annotated[str | None, typer.Option(help="The public key, as for audit verify.")] = None,
) -> None:
    """Show in a browser, live, what is blocked and what the GPUs do meanwhile."""
    from firewall.cli.dashboard import serve_dashboard
    from firewall.cli.logs import log_directory

    raise typer.Exit(serve_dashboard(log_directory(log), listen, key))


@app.command()
def doctor() -> None:
    """Say what this machine can and cannot do, and what to do about it."""
    from firewall.cli.doctor import doctor as examine

    examine()


@app.command()
def demo() -> None:
    """Re-enact an agent's escape attempts, harmlessly, and show what stops each of them."""
    from firewall.cli.demo import play

    raise typer.Exit(play())
