"""Second places for checkpoints, out of reach of whoever could change the log.

Each is told the whole line of a checkpoint (checkpoint.py). The newest stands for all before it, so
one that was missed is made up for by the next.
"""

import os
import sys
from pathlib import Path
from typing import Protocol

from firewall.audit.checkpoint import Checkpoint

HTTP_SECONDS = 5.0


class Place(Protocol):
    """Where checkpoints go too. Raises OSError where one could not be left there."""

    def tell(self, checkpoint: Checkpoint) -> None: ...


def place(target: str) -> Place:
    """A place by its name: `-` for the standard output, an HTTP(S) URL, or a file's path.

    Raises ValueError for a name that is none of these.
    """
    if target == "-":
        return Output()
    if target.startswith(("http://", "https://")):
        return Url(target)
    if not target or "://" in target:
        raise ValueError(f"{target!r} is no place for checkpoints; write -, a URL or a file")
    return File(Path(target).absolute())


class Output:
    """The standard output, for what collects it."""

    def tell(self, checkpoint: Checkpoint) -> None:
        sys.stdout.write(checkpoint.line().decode())
        sys.stdout.flush()


class File:
    """A file that grows, as on another machine's disk that is mounted here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tell(self, checkpoint: Checkpoint) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, checkpoint.line())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Url:
    """A server that takes each checkpoint by POST and answers 2xx."""

    def __init__(self, url: str) -> None:
        self._url = url

    def tell(self, checkpoint: Checkpoint) -> None:
        from urllib.request import Request, urlopen

        headers = {"Content-Type": "application/json"}
        request = Request(self._url, checkpoint.line(), headers, method="POST")  # noqa: S310 - by place()
        with urlopen(request, timeout=HTTP_SECONDS):  # noqa: S310 - http or https, see place()
            pass
