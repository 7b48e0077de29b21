"""`firewall mcp`: an MCP server behind the judge; with `trust`: accept its changed tools."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firewall.actor import Actor
from firewall.audit import AuditError
from firewall.cli.assembly import open_chain
from firewall.cli.places import state_directory
from firewall.cli.run import FAILED
from firewall.cli.teller import Teller
from firewall.gpu import GpuMonitor
from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.policy import PolicyError, load_policy
from firewall.toolcalls.client import socket_path
from firewall.toolcalls.mcp.checker import Checker, LocalChecker, RemoteChecker
from firewall.toolcalls.mcp.pins import Pins
from firewall.toolcalls.mcp.session import Session
from firewall.toolcalls.mcp.stdio import serve_stdio


def run_server(command: list[str], policy: str | None, name: str | None, log: Path | None) -> int:
    """Serve until client or server ends; the server's exit status."""
    try:
        server = name or Path(command[0]).name
        session = Session(server, _pins(server))
        with _checker(policy, log) as checker:
            return asyncio.run(serve_stdio(command, session, checker))
    except (PolicyError, AuditError, OSError, ValueError) as error:
        return _fail(str(error))


def trust(words: list[str]) -> int:
    """Show what changed of a server's tools, and accept it."""
    if not 1 <= len(words) <= 2:
        return _fail("write: firewall mcp trust SERVER [TOOL]")
    try:
        difference = _pins(words[0]).trust(*words[1:])
    except (OSError, ValueError) as error:
        return _fail(str(error))
    print(difference or f"nothing of {words[0]} waits for approval")
    return 0


def _pins(server: str) -> Pins:
    return Pins(state_directory() / "mcp", server)


@contextmanager
def _checker(policy: str | None, log: Path | None) -> Iterator[Checker]:
    """The service's judge, or with a policy one of our own and its audit log."""
    if policy is None:
        yield RemoteChecker(socket_path())
        return
    loaded = load_policy(policy)
    gpu = GpuMonitor()
    metrics = Metrics(gpu=gpu.latest, audit=lambda: chain.state)
    chain, _ = open_chain(log or state_directory() / "audit", metrics)
    gpu.start()
    try:
        yield LocalChecker(Judge(loaded, chain, gpu, Teller(metrics, live=False)), Actor("mcp"))
    finally:
        gpu.stop()
        chain.close()


def _fail(text: str) -> int:
    print(f"firewall: {text}", file=sys.stderr)
    return FAILED
