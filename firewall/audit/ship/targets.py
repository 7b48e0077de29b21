"""Far ends by their URLs."""

import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from firewall.audit.ship.http import JsonLines, Otlp
from firewall.audit.ship.settings import Settings
from firewall.audit.ship.sink import NotTakenError, Sink
from firewall.audit.ship.stream import Stream
from firewall.audit.ship.syslog import Syslog
from firewall.audit.ship.tail import Item

SCHEMES = (
    "nats://, nats+tls://, syslog+tls://, otlp+http://, otlp+https://, http://, https://, or -"
)


def open_sink(url: str, settings: Settings) -> Sink:
    """The far end that a URL names. Raises ValueError where it names none, OSError as `tls`."""
    if url == "-":
        return Output(settings)
    scheme = url.partition("://")[0]
    if "," not in url and scheme.startswith(("syslog", "otlp", "http")):
        _must_name_a_host(url)
    match scheme:
        case "nats" | "nats+tls":
            if settings.ocsf:
                raise ValueError("NATS carries records as they were written, which ingest verifies")
            return Stream(url, settings)
        case "syslog+tls":
            return Syslog(url, settings)
        case "otlp+http" | "otlp+https":
            return Otlp(url.removeprefix("otlp+"), settings)
        case "http" | "https":
            return JsonLines(url, settings)
    raise ValueError(f"--to {url}: write one of {SCHEMES}")


class Output:
    """The standard output. What a pipe has taken counts as acknowledged."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def send(self, items: Sequence[Item]) -> int:
        try:
            sys.stdout.write("".join(f"{self._settings.encode(item)}\n" for item in items))
            sys.stdout.flush()
        except BrokenPipeError:
            raise NotTakenError("nobody reads the standard output any more") from None
        return 0

    def close(self) -> None:
        """The standard output stays open."""


def _must_name_a_host(url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"--to {url}: no host is named; write one of {SCHEMES}")
    _ = parts.port  # raises ValueError where it is no port
