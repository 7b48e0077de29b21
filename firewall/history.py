"""What was done so far, for rules that refer to it: bounded, and free where no rule does."""

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from firewall.deeds import NOTHING, Deed, Did, Past

LIMIT = 4096
"""Objects of one kind of deed that are kept; the oldest is forgotten first."""


def utc_day() -> str:
    """Today in UTC, as ISO 8601 writes it."""
    return datetime.now(UTC).date().isoformat()


class History:
    """The deeds of one sandbox. Any thread may add to it and look at it."""

    def __init__(
        self, clock: Callable[[], float] = monotonic, today: Callable[[], str] | None = None
    ) -> None:
        self._clock = clock
        self._today = today or utc_day
        self._lock = threading.Lock()
        self._deeds: dict[Did, dict[str, float]] = {}
        self._past: Past | None = None

    def add(self, deeds: Iterable[Deed], wanted: Collection[Did]) -> tuple[Deed, ...]:
        """Keep the deeds of the kinds that are wanted; returns those, with their times."""
        now = self._clock()
        kept = tuple(
            each if each.at else replace(each, at=now) for each in deeds if each.what in wanted
        )
        with self._lock:
            for each in kept:
                self._keep(each)
            self._past = None if kept else self._past
        return kept

    def _keep(self, deed: Deed) -> None:
        objects = self._deeds.setdefault(deed.what, {})
        objects[deed.object] = max(deed.at, objects.pop(deed.object, 0.0))
        if len(objects) > LIMIT:
            del objects[next(iter(objects))]

    def all(self) -> tuple[Deed, ...]:
        """Every deed that is kept, to tell another process of."""
        with self._lock:
            told = [
                (what, each) for what, objects in self._deeds.items() for each in objects.items()
            ]
        return tuple(Deed(what, name, at) for what, (name, at) in told)

    def past(self, wanted: Collection[Did], *, dated: bool = False) -> Past:
        """What was done so far, as a value that no longer changes; `dated` tells the day too."""
        past = self._done(wanted) if wanted else NOTHING
        return replace(past, today=self._today()) if dated else past

    def _done(self, wanted: Collection[Did]) -> Past:
        with self._lock:
            if self._past is None:
                self._past = Past(deeds={what: dict(each) for what, each in self._deeds.items()})
            return replace(self._past, now=self._clock())
