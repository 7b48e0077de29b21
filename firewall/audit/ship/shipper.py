"""The loop that ships a log: read, send, wait for the acknowledgement, remember, again."""

import logging
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from firewall.audit.cursor import Cursor, Mark
from firewall.audit.errors import AuditError
from firewall.audit.segments import chains
from firewall.audit.ship.sink import NotTakenError, Sink
from firewall.audit.ship.tail import CHECKPOINTS, Checkpoints, Item, Records

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
BACKOFF_SECONDS = 0.5
BACKOFF_LIMIT = 60.0
ONCE_ATTEMPTS = 4
"""Times that a batch is sent under --once before the far end counts as out of reach."""


class Outcome(StrEnum):
    """How shipping ended, from good to bad."""

    SHIPPED = "all is shipped"
    INCOMPLETE = "all that is left is shipped, but some was removed before, or refused for good"
    UNREACHED = "the far end did not take all of it"
    DAMAGED = "a chain does not hold, and is shipped up to where it does"


@dataclass(slots=True)
class Progress:
    """What there is to tell of an exporter; `oldest` is when its next record was made (epoch)."""

    batches: int = 0
    records: int = 0
    errors: int = 0
    refused: int = 0
    lost: int = 0
    damaged: set[str] = field(default_factory=set)
    acknowledged: float = 0.0
    waiting: dict[str, float] = field(default_factory=dict)
    backlog: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def oldest(self) -> float | None:
        """When the oldest record that is not acknowledged was made; None where all are."""
        return min(self.waiting.values(), default=None)


class Shipper:
    """Ships the log in `directory` until `stop` is set. `run` raises OSError where it is no log."""

    def __init__(
        self,
        directory: Path,
        cursor: Cursor,
        sink: Sink,
        stop: threading.Event,
        *,
        poll_seconds: float = POLL_SECONDS,
        backoff_seconds: float = BACKOFF_SECONDS,
    ) -> None:
        self._directory = directory
        self._cursor = cursor
        self._sink = sink
        self._stop = stop
        self._poll_seconds = poll_seconds
        self._backoff_seconds = backoff_seconds
        self._tails: dict[str, Records | Checkpoints] = {}
        self.progress = Progress()

    def run(self, *, once: bool = False) -> Outcome:
        """Ship what there is, and what comes, unless `once`."""
        try:
            while not self._stop.is_set():
                moved = self._round(once=once)
                if moved is None:
                    return Outcome.UNREACHED
                if not moved and once:
                    break
                if not moved:
                    self._stop.wait(self._poll_seconds)
        finally:
            for tail in self._tails.values():
                tail.close()
        return self._outcome()

    def _outcome(self) -> Outcome:
        if self.progress.damaged:
            return Outcome.DAMAGED
        if any(records for records, _ in self.progress.backlog.values()):
            return Outcome.UNREACHED
        short = self.progress.lost or self.progress.refused
        return Outcome.INCOMPLETE if short else Outcome.SHIPPED

    def _round(self, *, once: bool) -> bool | None:
        """A batch of each chain, then of the checkpoints; None where the far end took none.

        Checkpoints come when no records are left, so that what they sign is there before them.
        """
        moved = False
        for tail in self._records():
            sent = self._ship(tail, once=once)
            if sent is None:
                return None
            moved = moved or sent
        if moved:
            return True
        return self._ship(self._tails[CHECKPOINTS], once=once)

    def _records(self) -> Iterator[Records]:
        self._tails.setdefault(CHECKPOINTS, Checkpoints(self._directory))
        for folder in chains(self._directory):
            tail = self._tails.setdefault(folder.name, Records(folder))
            if isinstance(tail, Records):
                yield tail

    def _ship(self, tail: Records | Checkpoints, *, once: bool) -> bool | None:
        mark = self._cursor.mark(tail.chain)
        try:
            lost = tail.lost
            items = tail.take(mark)
        except (AuditError, OSError) as error:
            self._tell_damage(tail.chain, error)
            return False
        self.progress.damaged.discard(tail.chain)
        self._tell_lost(tail, tail.lost - lost)
        self.progress.backlog[tail.chain] = tail.backlog(mark)
        if not items:
            return False
        self.progress.waiting[tail.chain] = _moment(items[0])
        if not self._send(items, once=once):
            return None
        self._acknowledged(tail, items)
        return True

    def _acknowledged(self, tail: Records | Checkpoints, items: list[Item]) -> None:
        mark: Mark = items[-1].mark
        self._cursor.advance(tail.chain, mark)
        self.progress.waiting.pop(tail.chain, None)
        self.progress.backlog[tail.chain] = tail.backlog(mark)
        self.progress.records += len(items)
        self.progress.batches += 1
        self.progress.acknowledged = time.time()

    def _send(self, items: list[Item], *, once: bool) -> bool:
        """Send until it is taken; False where it was given up."""
        failures = 0
        while not self._stop.is_set():
            try:
                refused = self._sink.send(items)
            except (NotTakenError, OSError) as error:
                failures += 1
                self.progress.errors += 1
                if once and failures >= ONCE_ATTEMPTS:
                    logger.error("given up: %s", error)
                    return False
                self._wait(error, failures)
                continue
            if refused:
                self.progress.refused += refused
                logger.error("the far end refused %d records for good", refused)
            return True
        return False

    def _wait(self, error: Exception, failures: int) -> None:
        """Back off exponentially with full jitter, or as long as the far end asks for."""
        most = min(BACKOFF_LIMIT, self._backoff_seconds * 2.0 ** min(failures, 16))
        wait = random.uniform(0, most)  # noqa: S311 - spreads load, keeps no secret
        asked = getattr(error, "after", None)
        if asked is not None:
            wait += min(asked, 10 * BACKOFF_LIMIT)
        logger.warning("not shipped, again in %.1f s: %s", wait, error)
        self._stop.wait(wait)

    def _tell_damage(self, chain: str, error: Exception) -> None:
        if chain not in self.progress.damaged:
            logger.error("%s is not shipped: %s", chain, error)
        self.progress.damaged.add(chain)

    def _tell_lost(self, tail: Records | Checkpoints, count: int) -> None:
        if count:
            self.progress.lost += count
            logger.error("%s: %d records were removed before they were shipped", tail.chain, count)


def _moment(item: Item) -> float:
    """When an item was made, in seconds since the epoch; now where it does not say."""
    try:
        return datetime.fromisoformat(str(item.members()["time"])).timestamp()
    except (ValueError, KeyError, TypeError):
        return time.time()
