"""Starts the dashboard, tells where it is, and ends it upon a signal."""

import ipaddress
import signal
import sys
from contextlib import closing
from pathlib import Path

from firewall.cli import signals
from firewall.cli.dashboard.feed import Feed
from firewall.cli.dashboard.screen import Screen
from firewall.cli.dashboard.server import DashboardServer
from firewall.cli.listening import host_and_port, listener
from firewall.cli.logs import fail, readable
from firewall.cli.verification import public_key

_ENDING = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}


def serve_dashboard(directory: Path, listen: str, key: str | None) -> int:
    """Serve until a signal that ends."""
    try:
        host, port = host_and_port(listen)
        served = listener(host, port)
    except (OSError, ValueError) as error:
        fail(str(error))
    screen = Screen()
    with served, readable(directory):
        feed = Feed(directory, public_key(key), screen)
        signals.block()
        feed.start()
        with (
            closing(feed),
            closing(DashboardServer(served, host, directory, screen)) as server,
            closing(screen),
        ):
            _tell(server.url, host)
            signal.sigwait(_ENDING)
    return 0


def _tell(url: str, host: str) -> None:
    print(url, flush=True)
    if not _is_loopback(host):
        warning = "others can reach this, and what it sends is not encrypted"
        print(f"firewall: --listen {host}: {warning}", file=sys.stderr, flush=True)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
