"""One place that a tool downloads from, and how to ask a tool.

Only what belongs to the user or the machine counts. The settings of the project in the working
directory do not: the agent can write them, and would so write its own allowlist.
"""

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from firewall.frozen import frozen
from firewall.policy.addresses import parse_address
from firewall.policy.hosts import is_name, normalise

_TIMEOUT = 15.0


class SourceError(Exception):
    """A tool could not say where it downloads from."""


@frozen
class Origin:
    """`scheme`://`host`:`port`, and `why` a tool downloads from there."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    why: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{host}" + ("" if self.port == usual else f":{self.port}")


@frozen
class Answer:
    """A tool's origins, and notes about what it could not say."""

    origins: tuple[Origin, ...]
    notes: tuple[str, ...] = field(default=())


def origin(url: str, why: str) -> Origin | None:
    """The origin of a URL; None for what is not fetched over HTTP (file:, cdrom:, paths).

    Raises SourceError for an HTTP URL without a usable host. User and password are dropped.
    """
    try:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https"):
            return None
        host, port = normalise(parts.hostname or ""), parts.port
    except ValueError:
        host, port = "", None
    if not is_name(host) and parse_address(host) is None:
        raise SourceError(f"{why} is a URL without a usable host")
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return Origin(scheme, host, port or (443 if scheme == "https" else 80), why)


def origins(urls: Iterable[tuple[str, str]]) -> tuple[Origin, ...]:
    """The origins of (URL, why) pairs, each once, without those that are not HTTP."""
    unique: dict[str, Origin] = {}
    for url, why in urls:
        found = origin(url, why)
        if found is not None:
            unique.setdefault(str(found), found)
    return tuple(unique.values())


def program(name: str) -> str:
    """The path of a tool. Raises SourceError where it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise SourceError(f"{name} is not installed")
    return path


def output(argv: Sequence[str]) -> str:
    """What a tool prints, asked outside of the working directory.

    Raises SourceError where it fails or does not end.
    """
    try:
        done = subprocess.run(
            argv,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"{argv[0]} could not be asked: {error}") from error
    if done.returncode:
        said = _gist(done.stderr.decode(errors="replace"))
        raise SourceError(f"{argv[0]} failed with status {done.returncode}: {said[:200]}")
    return done.stdout.decode(errors="replace")


def _gist(stderr: str) -> str:
    """The line that says what failed: the first, before any advice, or a traceback's last."""
    lines = stderr.strip().splitlines() or ["no message"]
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def toml(path: Path) -> dict[str, Any]:
    """A tool's settings file. Raises SourceError where it cannot be read."""
    import tomllib  # few tools have such

    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
