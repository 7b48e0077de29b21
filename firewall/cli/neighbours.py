"""The sandboxes of all firewalls of this state directory, by their network namespaces."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from firewall.proxy import control

AGAIN = 5.0
"""Seconds for which an answer stands: who watches the GPUs asks each second."""


class Neighbours:
    """Asks the firewalls that run, now and then. For one thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[int, str] = {}
        self._until = 0.0

    def __call__(self) -> Mapping[int, str]:
        """Names of sandboxes by inode; those of firewalls that do not answer are missing."""
        if time.monotonic() >= self._until:
            self._known = self._asked()
            self._until = time.monotonic() + AGAIN
        return self._known

    def _asked(self) -> dict[int, str]:
        found: dict[int, str] = {}
        with suppress(OSError):
            for name in control.running(self._directory):
                with suppress(OSError, ValueError):
                    status = control.ask(self._directory, name, {"do": "status"})
                    if isinstance(status.get("namespace"), int):
                        found[status["namespace"]] = name
        return found
