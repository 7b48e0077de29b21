"""What the commands that talk to a server for long have in common."""

import logging
import re
import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

UNREACHED = 3
"""What a command ends with whose server cannot be reached."""


def nats_server(url: str) -> str:
    """Check an option that names servers, before they are tried for ever."""
    if not re.match(r"nats(\+tls)?://[^/,]", url):
        raise typer.BadParameter(f"{url}: write nats:// or nats+tls://HOST:PORT, ...")
    return url


Ca = Annotated[Path | None, typer.Option(help="Authorities to trust (default: the system's).")]
Certificate = Annotated[
    Path | None, typer.Option(help="Our own certificate and key, in one PEM file.")
]
Credentials = Annotated[
    Path | None,
    typer.Option(help="A NATS credentials file (a token goes into FIREWALL_NATS_TOKEN)."),
]
Metrics = Annotated[
    str | None, typer.Option(help="Serve Prometheus metrics on HOST:PORT, or on a local PORT.")
]
Once = Annotated[bool, typer.Option("--once", help="Do what there is to do now, and end.")]


def stopping() -> threading.Event:
    """Set by SIGTERM and SIGINT; the batch that is on its way is finished first."""
    logging.basicConfig(format="firewall: %(message)s", level=logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def serve_collector(address: str | None, collector: "Collector") -> None:
    """Answer scrapes there, if anywhere. Raises ValueError and OSError."""
    from prometheus_client import CollectorRegistry, start_http_server

    from firewall.cli.listening import host_and_port

    if address is None:
        return
    registry = CollectorRegistry()
    registry.register(collector)
    host, port = host_and_port(address)
    start_http_server(port, host, registry)


def host_name() -> str:
    """This machine's name, as one token."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "firewall"
