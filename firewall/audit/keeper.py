"""The thread that signs checkpoints for a whole log while a firewall runs, and tidies it.

Every process that could do it tries; one at a time holds the lock and does. Nothing here is on the
road of a verdict: a log that cannot be signed still denies and allows as its records say, and the
gap that remains is found when the log is verified.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from firewall.audit.archive import Keep, compress_next, kept_from, surplus
from firewall.audit.checkpoint import Checkpoint, Head, newest
from firewall.audit.errors import AuditBusy, AuditError
from firewall.audit.record import Stamp, boot_id
from firewall.audit.signer import Signer, durable_heads
from firewall.audit.storage import Disk, Storage
from firewall.audit.witness import Place
from firewall.frozen import frozen

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
LOCK_SECONDS = 0.2
CLOSE_SECONDS = 3.0


@frozen
class Pace:
    """When a checkpoint is due: after so many records, so long after one, so long after nothing."""

    records: int = 1_000
    seconds: float = 10.0
    idle_seconds: float = 60.0


class Keeper:
    """Signs the checkpoints of `directory` with the key in `authority`, once `start` is called.

    `places` are told each one. Older segments are compressed, and removed beyond what `keep` says.
    """

    def __init__(
        self,
        directory: Path,
        authority: Path,
        *,
        places: Sequence[Place] = (),
        storage: Storage | None = None,
        pace: Pace | None = None,
        keep: Keep | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._directory = directory
        self._authority = authority
        self._places = places
        self._storage = storage or Disk()
        self._pace = pace or Pace()
        self._keep = keep
        self._poll_seconds = poll_seconds
        self._signer: Signer | None = None
        self._signed_at = time.monotonic()
        self._state = "ok"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit keeper", daemon=True)

    @property
    def state(self) -> str:
        """ "ok", or why no checkpoint can be signed now."""
        return self._state

    def newest(self) -> tuple[int, float] | None:
        """The last checkpoint's number, whoever signed it, and its time in seconds since the epoch;
        None where there is none that can be read."""
        try:
            found = newest(self._directory)
            if found is None:
                return None
            return found.number, datetime.fromisoformat(found.time).timestamp()
        except (OSError, ValueError):
            return None

    def start(self) -> None:
        """Begin. The first checkpoint comes when it is due, or with `close`."""
        self._thread.start()

    def close(self) -> None:
        """Sign what was recorded last, unless another process goes on signing."""
        self._closing.set()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            logger.error("the last checkpoint could not be signed: the disk does not answer")

    def _run(self) -> None:
        while not self._closing.wait(self._poll_seconds):
            self._attempt(self._tick)
        # Whoever holds the lock signs for this process too, unless it ends at this moment as well.
        until = time.monotonic() + LOCK_SECONDS
        while not self._attempt(self._lock) and time.monotonic() < until:
            time.sleep(LOCK_SECONDS / 10)
        self._attempt(self._finish)
        if self._signer is not None:
            self._signer.close()

    def _attempt(self, work: Callable[[], None]) -> bool:
        """Whether it was done; why not becomes the state, told once."""
        try:
            work()
        except AuditBusy:
            return False
        except Exception as error:
            if self._state == "ok":
                expected = isinstance(error, OSError | AuditError)
                logger.error(
                    "the audit log's checkpoints cannot be signed, so that a cut at its end would"
                    " not be seen until this is mended: %s",
                    error,
                    exc_info=None if expected else error,
                )
            self._state = f"no checkpoint can be signed: {error}"
            return True
        self._state = "ok"
        return True

    def _lock(self) -> None:
        if self._signer is None:
            self._signer = Signer(
                self._directory, self._authority, self._storage, boot_id(), Stamp.now
            )
            self._signed_at = time.monotonic()

    def _tick(self) -> None:
        self._lock()
        if self._is_due():
            self._sign()
            self._tidy()

    def _tidy(self) -> None:
        """Compress a segment, and remove those that a checkpoint has given up."""
        compress_next(self._directory)
        if self._keep is None or self._signer is None or self._signer.last is None:
            return
        given_up = surplus(self._directory, self._keep, self._signer.last.heads)
        paths = {name: each for name, each in given_up.items() if each}
        if not paths:
            return
        wanted = {name: kept_from(each) for name, each in paths.items()}
        made = self._sign(wanted)
        for name, each in paths.items():
            if made is not None and made.heads[name].first == wanted[name].first:
                for path in each:
                    path.unlink()

    def _finish(self) -> None:
        if self._signer is not None and self._unsigned():
            self._sign()

    def _is_due(self) -> bool:
        age, records = time.monotonic() - self._signed_at, self._unsigned()
        soon = records >= self._pace.records or (records and age >= self._pace.seconds)
        return bool(soon or age >= self._pace.idle_seconds)

    def _unsigned(self) -> int:
        """Records that no checkpoint covers."""
        last = self._signer.last if self._signer else None
        known = last.heads if last else {}
        heads = durable_heads(self._directory)
        return sum(
            max(0, head.seq - (known[name].seq if name in known else 0))
            for name, head in heads.items()
        )

    def _sign(self, trimmed: Mapping[str, Head] | None = None) -> Checkpoint | None:
        assert self._signer is not None
        made = self._signer.sign(trimmed)
        self._signed_at = time.monotonic()
        if made is not None:
            self._tell(made)
        return made

    def _tell(self, made: Checkpoint) -> None:
        for place in self._places:
            try:
                place.tell(made)
            except Exception as error:
                logger.warning("checkpoint %d could not be told: %s", made.number, error)
