"""The log that a judging process writes: a queue, and one thread that makes it durable.

Group commit: the thread takes what has queued meanwhile, writes it at once, syncs once and then
answers every waiter; so the cost of a sync is shared by all who came while the one before ran.
A record that nobody waits for lingers, so that a sync is shared even where none runs; whatever is
urgent takes along what came before it.
"""

import logging
import os
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from firewall import __version__
from firewall.audit.chain import SEGMENT_LIMIT, Chain, Torn
from firewall.audit.errors import AuditError
from firewall.audit.record import Stamp, boot_id, encode_event
from firewall.audit.segments import BATCH_LIMIT
from firewall.audit.storage import Disk, Storage

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 65_536
"""Records that may wait for the disk."""
QUEUE_BYTES = 64 << 20
"""Bytes of events that may wait for the disk."""
BATCH_RECORDS = 512
"""Records written at once: more gain nothing and make the first one wait."""
LINGER_SECONDS = 0.005
"""How long a record that is not urgent waits for others."""
RETRY_SECONDS = 1.0
CLOSE_SECONDS = 10.0

type Done = Callable[[Exception | None], None]
type Gather = Callable[[Callable[[], None]], bool]
"""Runs a call once the caller has done what is at hand; False where it cannot tell when that is."""


class _Entry(NamedTuple):
    stamp: Stamp
    event: str
    done: Done | None


class AuditLog:
    """One chain of records. `append` may be called from any thread.

    `observe` is told, from the writing thread, the seconds from each append to its record being on
    the disk. With `gather` (a loop's) the urgent records of one turn of the loop are written at
    once, and wake the thread once. Raises AuditBusy where another process writes this chain,
    AuditError where it cannot be opened or has been changed, ValueError where `chain` is no plain
    name.
    """

    def __init__(
        self,
        directory: Path,
        chain: str,
        *,
        storage: Storage | None = None,
        observe: Callable[[float], None] | None = None,
        gather: Gather = lambda _: False,
        segment_limit: int = SEGMENT_LIMIT,
        retry_seconds: float = RETRY_SECONDS,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        self._observe = observe
        self._gather = gather
        self._retry_seconds = retry_seconds
        self._linger_seconds = linger_seconds
        self._queue: deque[_Entry] = deque()
        self._queued_bytes = 0
        self._urgent = False
        self._lost = 0
        self._state = "ok"
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._chain = _open(directory, chain, storage or Disk(), segment_limit)
        self._thread = threading.Thread(target=self._run, name=f"audit {chain}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """ "ok", or why nothing can be recorded now."""
        return self._state

    @property
    def waiting(self) -> int:
        """Records that wait for the disk."""
        return len(self._queue)

    def append(
        self, event: Mapping[str, Any], done: Done | None = None, *, urgent: bool = True
    ) -> None:
        """Queue one event; never waits for the disk.

        One that is not `urgent` is on the disk LINGER_SECONDS later, or with the next that is.

        `done` is called once: with None from the writing thread when the record is on the disk, or
        with an AuditError, perhaps at once and on this thread, when it will not be. Raises
        ValueError where the event has no members or takes the name of one of the record's own.
        """
        encoded = encode_event(event)
        with self._changed:
            problem = self._refusal()
            if problem is None:
                stamp = Stamp.now()
                self._queue.append(_Entry(stamp, encoded, done))
                self._queued_bytes += len(encoded)
                if urgent and self._gather(self._hurry):
                    return
                self._urgent = self._urgent or urgent
                if urgent or len(self._queue) == 1:
                    self._changed.notify()
                return
            self._lost += 1
        _call(done, AuditError(problem))

    def close(self) -> None:
        """Write what is queued and a last record, then release the chain."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            logger.error("the audit log could not be closed: the disk does not answer")

    def _hurry(self) -> None:
        with self._changed:
            self._urgent = True
            self._changed.notify()

    def _refusal(self) -> str | None:
        if self._closing.is_set():
            return "the audit log is closed"
        if self._state != "ok":
            return self._state
        if len(self._queue) >= QUEUE_LIMIT or self._queued_bytes >= QUEUE_BYTES:
            return f"the audit log is {len(self._queue)} records behind the disk"
        return None

    def _run(self) -> None:
        try:
            while batch := self._take():
                self._commit(batch)
            self._finish()
        except Exception as error:
            logger.exception("the audit log's writer ended")
            self._fail([], error)

    def _take(self) -> list[_Entry]:
        """What is queued, up to a batch, as soon as there is any; nothing means close."""
        with self._changed:
            while not self._queue and not self._closing.is_set():
                self._changed.wait()
            self._changed.wait_for(self._hurries, self._linger_seconds)
            batch: list[_Entry] = []
            size = 0
            while self._queue and len(batch) < BATCH_RECORDS and size < BATCH_LIMIT:
                entry = self._queue.popleft()
                batch.append(entry)
                size += len(entry.event)
            self._queued_bytes -= size
            self._urgent = self._urgent and bool(self._queue)
            return batch

    def _hurries(self) -> bool:
        return self._urgent or self._closing.is_set()

    def _commit(self, batch: list[_Entry]) -> None:
        try:
            self._chain.write([(entry.stamp, entry.event) for entry in batch])
        except Exception as error:
            logger.exception("the audit log cannot be written; all is denied until it can")
            self._fail(batch, error)
            self._recover()
            return
        now = time.monotonic_ns()
        for entry in batch:
            _call(entry.done, None)
            _call(self._observe, (now - entry.stamp.monotonic_ns) / 1e9)

    def _fail(self, batch: list[_Entry], error: Exception) -> None:
        """Acknowledge nothing, neither what was being written nor what waits."""
        with self._changed:
            self._state = f"the audit log cannot be written: {error}"
            failed = [*batch, *self._queue]
            self._queue.clear()
            self._queued_bytes = 0
            self._lost += len(failed)
        for entry in failed:
            _call(entry.done, AuditError(self._state))

    def _recover(self) -> None:
        """Try until a record can be written again, or the log is closed."""
        torn, attached = None, False
        while not self._closing.wait(self._retry_seconds):
            lost = self._lost
            try:
                # Later rounds find only what their own failed record left: nothing worth keeping.
                found = self._chain.attach(keep=not attached)
                torn, attached = torn or found, True
                self._chain.write([_recovered(torn, self._state, lost)])
            except (OSError, AuditError) as error:
                self._state = f"the audit log cannot be written: {error}"
                continue
            with self._changed:
                self._lost -= lost
                self._state = "ok"
            logger.warning("the audit log is written again; %d records were refused", lost)
            return

    def _finish(self) -> None:
        try:
            if self._state == "ok":
                self._chain.write([_stamped({"kind": "log.closed", "refused": self._lost})])
        finally:
            self._chain.close()
            self._state = "the audit log is closed"


def _open(directory: Path, name: str, storage: Storage, segment_limit: int) -> Chain:
    """The chain, opened at its end with the records that say so."""
    try:
        chain = Chain(directory, name, boot_id(), storage, segment_limit)
        try:
            torn = chain.attach()
            found = [_recovered(torn, "a torn tail was found at the start", 0)] if torn else []
            chain.write([*found, _stamped(_opened())])
        except BaseException:
            chain.close()
            raise
    except OSError as error:
        raise AuditError(
            f"{directory}: the audit log cannot be written: {error}. Nothing is allowed without "
            "a record; free or mend the disk, or choose another folder"
        ) from error
    return chain


def _opened() -> dict[str, Any]:
    versions = {
        "firewall": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    return {"kind": "log.opened", "versions": versions, "pid": os.getpid()}


def _recovered(torn: Torn | None, reason: str, lost: int) -> tuple[Stamp, str]:
    """The record that tells what was torn off and how many events were refused meanwhile."""
    return _stamped(
        {
            "kind": "log.recovered",
            "reason": reason,
            "refused": lost,
            "torn": asdict(torn) if torn else None,
        }
    )


def _stamped(event: dict[str, Any]) -> tuple[Stamp, str]:
    return Stamp.now(), encode_event(event)


def _call[Told](listener: Callable[[Told], None] | None, told: Told) -> None:
    """Tell a listener; its own failure must not end the writer."""
    if listener is None:
        return
    try:
        listener(told)
    except Exception:
        logger.exception("a listener of the audit log failed")
