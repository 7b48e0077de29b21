"""`firewall mcp`: an MCP server behind the judge; with `trust`: accept its changed tools."""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from firewall.actor import Actor
from firewall.audit import AuditError, keys
from firewall.cli.assembly import open_chain
from firewall.cli.listening import host_and_port
from firewall.cli.run import FAILED
from firewall.cli.teller import Teller
from firewall.gpu import GpuMonitor
from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.places import authority_directory, state_directory
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.holding import parse_labels
from firewall.toolcalls.approvals import own_desk
from firewall.toolcalls.mcp.checker import Checker, LocalChecker, RemoteChecker
from firewall.toolcalls.mcp.endpoint import Endpoint
from firewall.toolcalls.mcp.http import Gateway
from firewall.toolcalls.mcp.listener import serve_http
from firewall.toolcalls.mcp.pins import Pins, difference
from firewall.toolcalls.mcp.session import Session
from firewall.toolcalls.mcp.stdio import serve_stdio
from firewall.toolcalls.places import socket_path
from firewall.toolcalls.renewal import Renewal

type Labels = tuple[str, ...]

_LAUNCHER = re.compile(r"npx|uvx?|bunx?|node|deno|docker|podman|python[0-9.]*|run|tool|exec")
"""Words of a command line that do not tell which server it starts."""


def run_server(
    command: list[str], name: str | None, policy: str | None, log: Path | None, labels: Labels = ()
) -> int:
    """Serve until client or server ends; the server's exit status."""
    try:
        server = name or server_name(command)
        session = Session(server, _pins(server), str(Path.cwd()))
        return asyncio.run(_judged(policy, log, labels, partial(serve_stdio, command, session)))
    except (PolicyError, AuditError, OSError, ValueError) as error:
        return _fail(str(error))


def run_gateway(
    url: str,
    listen: str,
    name: str | None,
    policy: str | None,
    log: Path | None,
    labels: Labels = (),
) -> int:
    """Serve the server at `url` to clients of `listen` until SIGINT or SIGTERM."""
    try:
        host, port = host_and_port(listen)
        endpoint = Endpoint(url, host)
        server = name or re.sub(r"[^A-Za-z0-9_-]", "-", endpoint.host)
        ready = partial(_ready, endpoint, server)

        def serve(checker: Checker) -> Awaitable[None]:
            return serve_http(Gateway(endpoint, server, pins, checker), host, port, ready)

        pins = _pins(server)
        asyncio.run(_judged(policy, log, labels, serve))
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


async def _judged[T](
    policy: str | None,
    log: Path | None,
    labels: Labels,
    serve: Callable[[Checker], Awaitable[T]],
) -> T:
    """Serve with the service's judge, or with a policy one of our own.

    Ours is taken apart while the loop still runs, on which it answers what waits for a person.
    """
    if policy is None:
        return await serve(RemoteChecker(socket_path()))
    loaded = load_policy(policy, parse_labels(labels))
    with _own_judge(loaded, log or state_directory() / "audit") as judge:
        return await serve(LocalChecker(judge, Actor(f"mcp-{os.getpid()}")))


@contextmanager
def _own_judge(policy: Policy, log: Path) -> Iterator[Judge]:
    """A judge with an audit log and a desk."""
    gpu = GpuMonitor()
    metrics = Metrics(gpu=gpu.latest, audit=lambda: chain.state)
    chain, _ = open_chain(log, metrics)
    teller = Teller(metrics, live=False)
    with ExitStack() as ends:
        ends.callback(teller.close)
        ends.callback(chain.close)
        ends.callback(gpu.stop)
        gpu.start()
        marks = keys.redaction_key(authority_directory())
        judge = Judge(policy, chain, gpu, teller, redaction_key=marks)
        renewal = Renewal(judge, teller.say)
        ends.callback(renewal.close)
        judge.desk = desk = own_desk(judge, renewal.now, teller.say)
        ends.callback(desk.close)
        yield judge


def _fail(text: str) -> int:
    print(f"firewall: {text}", file=sys.stderr)
    return FAILED
