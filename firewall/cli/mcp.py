"""`firewall mcp`: an MCP server behind the judge; with `trust`: accept its changed tools."""

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from firewall.actor import Actor
from firewall.audit import AuditError, keys
from firewall.cli.assembly import open_chain
from firewall.cli.listening import host_and_port
from firewall.cli.places import authority_directory, state_directory
from firewall.cli.run import FAILED
from firewall.cli.teller import Teller
from firewall.gpu import GpuMonitor
from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.policy import PolicyError, load_policy
from firewall.toolcalls.mcp.checker import Checker, LocalChecker, RemoteChecker
from firewall.toolcalls.mcp.endpoint import Endpoint
from firewall.toolcalls.mcp.http import Gateway
from firewall.toolcalls.mcp.listener import serve_http
from firewall.toolcalls.mcp.pins import Pins, difference
from firewall.toolcalls.mcp.session import Session
from firewall.toolcalls.mcp.stdio import serve_stdio
from firewall.toolcalls.places import socket_path

_LAUNCHER = re.compile(r"npx|uvx?|bunx?|node|deno|docker|podman|python[0-9.]*|run|tool|exec")
"""Words of a command line that do not tell which server it starts."""


def run_server(command: list[str], policy: str | None, name: str | None, log: Path | None) -> int:
    """Serve until client or server ends; the server's exit status."""
    try:
        server = name or server_name(command)
        session = Session(server, _pins(server), str(Path.cwd()))
        with _checker(policy, log) as checker:
            return asyncio.run(serve_stdio(command, session, checker))
    except (PolicyError, AuditError, OSError, ValueError) as error:
        return _fail(str(error))


def run_gateway(
    url: str, listen: str, policy: str | None, name: str | None, log: Path | None
) -> int:
    """Serve the server at `url` to clients of `listen` until SIGINT or SIGTERM."""
    try:
        host, port = host_and_port(listen)
        endpoint = Endpoint(url, host)
        server = name or re.sub(r"[^A-Za-z0-9_-]", "-", endpoint.host)
        with _checker(policy, log) as checker:
            gateway = Gateway(endpoint, server, _pins(server), checker)
            asyncio.run(serve_http(gateway, host, port, partial(_ready, endpoint, server)))
    except (PolicyError, AuditError, OSError, ValueError) as error:
        return _fail(str(error))
    return 0


def _ready(endpoint: Endpoint, server: str, address: tuple[Any, ...]) -> None:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{host}:{address[1]}{endpoint.target}"
    print(f"firewall: the MCP server {server} is at {url}", file=sys.stderr, flush=True)


def trust(words: list[str], *, yes: bool = False) -> int:
    """Show what changed of a server's tools, and accept it where a person says so."""
    if not 1 <= len(words) <= 2:
        return _fail("write: firewall mcp trust SERVER [TOOL]")
    pins = _pins(words[0])
    try:
        book = pins.read()
        changed = {
            name: new for name, new in book.changed.items() if name in words[1:] or not words[1:]
        }
        for name, new in changed.items():
            print(f"{name!a}\n{difference(book.approved.get(name, {}), new)}")
        if not changed:
            print(f"nothing of {words[0]} waits for approval")
        elif not yes and not _confirmed():
            return 1
        pins.accept(changed)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return _fail(str(error))
    return 0


def server_name(command: list[str]) -> str:
    """What a server is called where nobody says: its program, behind whatever launches it."""
    words = [Path(word).name for word in command if not word.startswith("-")]
    own = next((word for word in words if not _LAUNCHER.fullmatch(word)), Path(command[0]).name)
    return re.sub(r"[^A-Za-z0-9_-]", "-", own.removesuffix(".py").removesuffix(".js"))


def _confirmed() -> bool:
    try:
        return input("Accept? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


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
        marks = keys.redaction_key(authority_directory())
        teller = Teller(metrics, live=False)
        judge = Judge(loaded, chain, gpu, teller, redaction_key=marks)
        yield LocalChecker(judge, Actor("mcp"))
    finally:
        gpu.stop()
        chain.close()


def _fail(text: str) -> int:
    print(f"firewall: {text}", file=sys.stderr)
    return FAILED
