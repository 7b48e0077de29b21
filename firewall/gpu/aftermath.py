"""The minute after: what the GPUs went on to do once a record had told of a moment.

A record of a blocked attempt names its moment; the follow-up names the moments it follows. In a
flood many are followed at once, so there is at most one follow-up in GROUP seconds.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from firewall.gpu import snapshot
from firewall.gpu.view import GpuView

logger = logging.getLogger(__name__)

AFTER = 60.0
"""Seconds that are followed."""
GROUP = 5.0
"""Seconds that a moment may wait longer, to be told together with others."""
LIMIT = 1024
"""Moments that may wait: more than readings on demand can make in that time."""

type Tell = Callable[[Mapping[str, Any]], None]


class Aftermath:
    """Moments whose minute is not over yet. Any thread may call it."""

    def __init__(self) -> None:
        self.tell: Tell | None = None
        self._lock = threading.Lock()
        self._waiting: dict[str, float] = {}
        self._missed = 0

    def add(self, moment: str, at: float) -> None:
        """Follow a moment that was at `at`, by the monotonic clock; the first time counts."""
        with self._lock:
            if len(self._waiting) < LIMIT:
                self._waiting.setdefault(moment, at)
            elif moment not in self._waiting:
                self._missed += 1

    def due(self, now: float, readings: Callable[[], Sequence[GpuView]]) -> None:
        """Tell of the moments whose minute is over; `readings` are those of the last minutes."""
        with self._lock:
            first = next(iter(self._waiting.values()), now)
        if first + AFTER + GROUP <= now:
            self._tell(now - AFTER, readings(), "a minute has passed")

    def stop(self, now: float, readings: Sequence[GpuView]) -> None:
        """Tell of all that wait with what there is."""
        self._tell(now, readings, "the firewall stopped")

    def _tell(self, until: float, readings: Sequence[GpuView], ended: str) -> None:
        with self._lock:
            over = {moment: at for moment, at in self._waiting.items() if at <= until}
            for moment in over:
                del self._waiting[moment]
            missed, self._missed = self._missed, 0
        if over and self.tell is not None:
            after = [each for each in readings if each.taken > min(over.values())]
            facts = {"moments": list(over), "ended": ended, "missed": missed}
            try:
                self.tell({**facts, "gpu": _after(after)})
            except Exception:
                logger.exception("the minute after could not be told")


def _after(readings: Sequence[GpuView]) -> dict[str, Any]:
    """The time line of the readings, and the last of them whole."""
    if not readings:
        return {"status": "unavailable", "reason": "there was no reading after it"}
    last = readings[-1]
    return {
        "status": "unavailable" if last.unavailable else "ok",
        "reason": last.unavailable or None,
        "sampled_at": snapshot.rfc3339(last.at),
        "devices": snapshot.devices(last),
        "history": [snapshot.line(each) for each in readings],
    }
