"""The writing end of one chain: its lock, its open segment, its head. One thread uses it.

Nothing here counts as written until the file's data is on the disk. After any failure the file is
opened anew and cut back to the last acknowledged record, because a failed fsync marks its pages
clean: trying it again succeeds without having written them (Rebello et al., USENIX ATC 2020).
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from firewall.audit.errors import AuditBusy, AuditError
from firewall.audit.head import HeadFile, read_head
from firewall.audit.record import GENESIS, Seal, Stamp, seal
from firewall.audit.segments import Tail, chain_folder, damaged, find_tail, segment_path
from firewall.audit.storage import Storage, write_all
from firewall.frozen import frozen

SEGMENT_LIMIT = 64 << 20
"""Bytes after which a segment is followed by the next."""


@frozen
class Torn:
    """Bytes that stood after the last good record: where, how many, and where they are kept."""

    segment: str
    offset: int
    length: int
    sha256: str
    kept: str


class Chain:
    """Appends batches of events to the files of one chain."""

    def __init__(
        self,
        directory: Path,
        chain: str,
        boot_id: str,
        storage: Storage,
        segment_limit: int,
    ) -> None:
        """Lock the chain; raises AuditBusy where another process writes it, OSError otherwise."""
        self.folder = chain_folder(directory, chain)
        self._origin = json.dumps({"boot_id": boot_id, "chain": chain}, separators=(",", ":"))[1:-1]
        self._storage = storage
        self._segment_limit = segment_limit
        self._head: Seal | None = None
        self._file: int | None = None
        self._length = 0
        storage.make_directory(self.folder)
        try:
            self._lock = storage.lock(self.folder)
        except BlockingIOError:
            raise AuditBusy(
                f"{self.folder}: another process is writing this chain; end it, or give this one "
                "a chain name of its own"
            ) from None
        try:
            self._told = HeadFile(self.folder)
        except OSError:
            storage.close(self._lock)
            raise

    def attach(self, *, keep: bool = True) -> Torn | None:
        """Open the chain at its end, first or again; returns what was torn off.

        With `keep` the torn bytes go to a file of their own before they are cut off.

        Raises AuditError where the files are not what was written, OSError where the disk fails.
        """
        self._release()
        tail = find_tail(self.folder, self._head)
        if tail is None:
            self._begin()
            return None
        self._must_reach_what_was_told(tail)
        self._path, self._length = tail.segment, tail.length
        self._file = self._storage.open(tail.segment, create=False)
        torn = self._set_aside(tail) if tail.rest and keep else None
        if tail.rest:
            self._storage.cut(self._file, tail.length)
        self._head = tail.seal
        return torn

    def write(self, events: Sequence[tuple[Stamp, str]]) -> None:
        """Append encoded events: one write, one sync. Returning means that they are on the disk."""
        if self._length >= self._segment_limit:
            self._release()
            self._create(self._sealed().seq + 1)
        before, lines = self._sealed(), []
        prev, digest = before.prev, before.hash
        for seq, (stamp, event) in enumerate(events, before.seq + 1):
            prev = digest
            line, digest = seal(seq, stamp, self._origin, event, prev)
            lines.append(line)
        head = Seal(before.seq + len(lines), prev, digest)
        self._append(b"".join(lines))
        self._head = head
        with contextlib.suppress(OSError):  # the records are durable, whoever hears of them
            self._told.put(head)

    def close(self) -> None:
        """Close the segment and release the lock."""
        self._release()
        self._told.close()
        self._storage.close(self._lock)

    def _must_reach_what_was_told(self, tail: Tail) -> None:
        """An acknowledged record that is gone was taken away, or the disk lied about a sync."""
        told, end = read_head(self.folder), tail.seal
        if told and (told.seq > end.seq or (told.seq == end.seq and told.hash != end.hash)):
            what = f"record {told.seq}, known to be written, is not there"
            raise damaged(tail.segment, "end", what)

    def _begin(self) -> None:
        if (self._head is not None and self._head.seq) or read_head(self.folder):
            raise damaged(segment_path(self.folder, 1), 1, "the chain's files are gone")
        self._head = Seal(seq=0, prev="", hash=GENESIS)
        self._create(1)

    def _create(self, first: int) -> None:
        self._path, self._length = segment_path(self.folder, first), 0
        self._file = self._storage.open(self._path, create=True)

    def _append(self, data: bytes) -> None:
        file = self._opened()
        write_all(self._storage, file, data)
        self._storage.sync(file)
        length = self._storage.size(file)
        if length != self._length + len(data):
            what = "is gone" if length is None else "was changed by someone else"
            raise AuditError(f"{self._path}: the file {what} while it was being written")
        self._length += len(data)

    def _set_aside(self, tail: Tail) -> Torn:
        """Keep the torn bytes durably."""
        digest = hashlib.sha256(tail.rest).hexdigest()
        folder = self.folder / "torn"
        kept = folder / f"{tail.segment.stem}-{tail.length}-{digest[:16]}.bin"
        self._storage.make_directory(folder)
        self._keep(kept, tail.rest)
        return Torn(
            tail.segment.name,
            tail.length,
            len(tail.rest),
            digest,
            str(kept.relative_to(self.folder)),
        )

    def _keep(self, path: Path, data: bytes) -> None:
        """Write a file whole; one left by a crash in the middle of this is written anew."""
        exists = path.exists()
        file = self._storage.open(path, create=not exists)
        try:
            if exists:
                self._storage.cut(file, 0)
            write_all(self._storage, file, data)
            self._storage.sync(file)
        finally:
            self._storage.close(file)

    def _opened(self) -> int:
        if self._file is None:
            raise AuditError(f"{self.folder}: no segment is open")
        return self._file

    def _sealed(self) -> Seal:
        if self._head is None:
            raise AuditError(f"{self.folder}: the chain is not open")
        return self._head

    def _release(self) -> None:
        """Close the segment. Its data is synced or given up, so a failure here changes nothing."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._storage.close(self._file)
            self._file = None
