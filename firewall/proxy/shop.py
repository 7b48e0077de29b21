"""What the workers of one process have in common: its loop, its log, and what it counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from firewall.audit import AuditLog
from firewall.gpu import GpuMonitor
from firewall.metrics import Metrics
from firewall.metrics.changes import Changes
from firewall.ports import Gpu
from firewall.proxy.loop import Loop

COUNT_SECONDS = 0.5
"""How often what was counted is told."""


class Shop:
    """Writes a chain of the log in the folder `audit`. Raises AuditError."""

    def __init__(self, audit: Path, chain: str) -> None:
        self.loop = Loop()
        self.sandboxes: dict[int, str] = {}
        self.monitor = GpuMonitor(sandboxes=lambda: dict(self.sandboxes))
        self.gpu: Gpu = self.monitor
        self.metrics = Metrics()
        self.log = AuditLog(audit, chain, observe=self.metrics.append, gather=self.loop.gather)
        self._changes = Changes(self.metrics)
        self._told: dict[str, Any] = {}

    def open(self, tell: Callable[[str, dict[str, Any]], None]) -> None:
        """Look at the GPUs, and `tell` from time to time what was counted."""
        self.monitor.start()
        self._count(tell)

    def close(self) -> None:
        """Write what is still to be written."""
        self.monitor.stop()
        self.log.close()

    def counts(self) -> dict[str, Any]:
        """What was counted since this was asked last, and how the log is."""
        return {
            "changes": self._changes.take(),
            "audit": self.log.state,
            "waiting": self.log.waiting,
        }

    def _count(self, tell: Callable[[str, dict[str, Any]], None]) -> None:
        self.loop.after(COUNT_SECONDS, lambda: self._count(tell))
        counts = self.counts()
        if counts != self._told or counts["changes"]:
            tell("counts", counts)
            self._told = counts
