"""What is to be shipped next: the acknowledged records of a chain, the checkpoints of a log."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firewall.audit import checkpoint as notes
from firewall.audit.cursor import Mark
from firewall.audit.errors import AuditError
from firewall.audit.head import read_head
from firewall.audit.lines import Lines
from firewall.audit.record import Seal, check
from firewall.audit.segments import first_seq, segments
from firewall.frozen import frozen

CHECKPOINTS = notes.FOLDER
"""What checkpoints are called where records are called by their chain."""
BATCH_RECORDS = 512
BATCH_BYTES = 2 << 20


@frozen
class Item:
    """One record or checkpoint as it was written, its newline included.

    `seq` is the checkpoint's number, `hash` that of a record, and SHA-256 of a checkpoint's line.
    """

    chain: str
    seq: int
    hash: str
    line: bytes

    @property
    def mark(self) -> Mark:
        return Mark(self.seq, self.hash)

    def members(self) -> dict[str, Any]:
        """The record, or what a checkpoint states. Of a forged line that is no JSON, nothing."""
        try:
            outer: dict[str, Any] = json.loads(self.line)
            if self.chain != CHECKPOINTS:
                return outer
            return {"kind": "checkpoint", **json.loads(outer["statement"])}
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"kind": "unreadable"}


class Records:
    """The records of one chain, as far as its writer has acknowledged them (head.py).

    What follows may still be cut off by the writer, and must not be somewhere else by then. `lost`
    counts records that were removed before they were shipped.
    """

    def __init__(self, folder: Path) -> None:
        self.chain = folder.name
        self.lost = 0
        self._folder = folder
        self._lines: Lines | None = None
        self._at = Mark()

    def take(self, after: Mark) -> list[Item]:
        """The records that follow this one, a batch at most; none where there are no more yet.

        Raises AuditError where they do not hold.
        """
        try:
            return self._batch(after)
        except _StaleError:
            # What was read ahead may have been cut off and written anew since.
            self._restart()
            try:
                return self._batch(after)
            except _StaleError as error:
                self._restart()
                raise AuditError(
                    f"{error}: the log was changed after it was written, so no more of this chain "
                    "is shipped; see all of it with"
                    f" `firewall audit verify --log {self._folder.parent}`"
                ) from None
        except FileNotFoundError:  # compressed or given up between two looks at the folder
            self._restart()
            return []

    def backlog(self, after: Mark) -> tuple[int, int]:
        """How many records and about how many bytes on the disk follow this one."""
        head = read_head(self._folder)
        records = max(0, head.seq - after.seq) if head else 0
        return records, self._bytes() if records else 0

    def close(self) -> None:
        """Close the segment that is being read."""
        if self._lines is not None:
            self._lines.close()

    def _batch(self, after: Mark) -> list[Item]:
        head = read_head(self._folder)
        if head and head.seq < after.seq:
            raise AuditError(
                f"{self._folder} ends at record {head.seq}, but record {after.seq} was shipped: it "
                "is another log, to be shipped under another --name, or its end was cut off"
            )
        if self._at != after:
            self._restart()
        items: list[Item] = []
        size = 0
        reached = after
        while head and reached.seq < head.seq and len(items) < BATCH_RECORDS and size < BATCH_BYTES:
            item = self._next(reached)
            if item is None:
                break
            items.append(item)
            reached, size = item.mark, size + len(item.line)
        self._at = reached
        return items

    def _next(self, reached: Mark) -> Item | None:
        """The record after this one; what stands before it is passed over, but looked at."""
        if self._lines is None:
            self._lines = Lines(self._folder, reached.seq)
        while (line := self._lines.next()) is not None:
            seal = check(line)
            if seal is None:
                raise _StaleError(
                    f"{self._lines.segment}:{self._lines.number}: no record stands here"
                )
            if seal.seq > reached.seq:
                self._must_follow(seal, reached)
                return Item(self.chain, seal.seq, seal.hash, line)
            if seal.seq == reached.seq and seal.hash != reached.hash:
                what = f"record {seal.seq} is not the one that was shipped"
                raise _StaleError(f"{self._lines.segment}:{self._lines.number}: {what}")
        return None

    def _must_follow(self, seal: Seal, reached: Mark) -> None:
        assert self._lines is not None
        begins = self._lines.number == 1 and seal.seq == first_seq(self._lines.segment)
        if seal.seq == reached.seq + 1 and (not reached.hash or seal.prev == reached.hash):
            return
        if not begins or seal.seq <= reached.seq + 1:
            what = f"record {seal.seq} does not follow from {reached.seq}"
            raise _StaleError(f"{self._lines.segment}:{self._lines.number}: {what}")
        self.lost += seal.seq - reached.seq - 1 if reached.seq else 0

    def _bytes(self) -> int:
        here, offset = (
            ("", 0) if self._lines is None else (self._lines.segment.name, self._lines.offset)
        )
        sizes = 0
        for path in segments(self._folder):
            if path.name >= here:
                try:
                    sizes += path.stat().st_size - (offset if path.name == here else 0)
                except FileNotFoundError:
                    continue
        return sizes

    def _restart(self) -> None:
        self.close()
        self._lines = None


class Checkpoints:
    """The checkpoints of a log. What is not on the disk yet is put there before it is shipped."""

    chain = CHECKPOINTS
    lost = 0

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._looked: tuple[Mark, str, int] | None = None

    def take(self, after: Mark) -> list[Item]:
        """As `Records.take`."""
        files = notes.files(self._directory)
        state = (after, files[-1].name, files[-1].stat().st_size) if files else None
        if state is None or state == self._looked:
            return []
        items = []
        for item in self._following(files, after):
            items.append(item)
            if len(items) >= BATCH_RECORDS:
                return items
        if not items:
            self._looked = state
        return items

    def backlog(self, after: Mark) -> tuple[int, int]:
        """As `Records.backlog`; their bytes are not counted."""
        try:
            newest = notes.newest(self._directory)
        except ValueError:
            return 0, 0
        return max(0, newest.number - after.seq) if newest else 0, 0

    def close(self) -> None:
        """Nothing is held open."""

    def _following(self, files: list[Path], after: Mark) -> Iterator[Item]:
        first = [int(path.stem) for path in files]
        for path, beyond in zip(files, [*first[1:], None], strict=True):
            if beyond is not None and beyond <= after.seq + 1:
                continue
            _sync(path)
            for number, line in notes.lines(path):
                seq = int(path.stem) + number - 1
                if seq > after.seq:
                    _must_be(line, seq, f"{path}:{number}")
                    yield Item(CHECKPOINTS, seq, hashlib.sha256(line).hexdigest(), line)


class _StaleError(Exception):
    """What was read is not what follows, perhaps because it was read too long ago."""


def _must_be(line: bytes, number: int, place: str) -> None:
    try:
        found = notes.Checkpoint.parse(line).number
    except ValueError as error:
        raise AuditError(f"{place}: {error}") from None
    if found != number:
        raise AuditError(f"{place}: checkpoint {found} stands where {number} belongs")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
