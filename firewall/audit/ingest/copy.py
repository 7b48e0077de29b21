"""A chain as it is written down a second time: its lines as they came, each held against the last.

The writer of one calls `flush` before anything is acknowledged.
"""

import re
from collections import OrderedDict
from pathlib import Path
from typing import Literal

from firewall.audit.chain import SEGMENT_LIMIT
from firewall.audit.head import HeadFile
from firewall.audit.lines import Lines
from firewall.audit.record import Seal, check
from firewall.audit.segments import chain_folder, segment_path, segments
from firewall.audit.storage import Disk, Storage, write_all

RECENT = 4096
"""Hashes kept in memory, to tell what came twice from what came changed; older ones are read."""

_ORIGIN = rb'\{"seq":[0-9]+,"time":"[^"]*","monotonic_ns":[0-9]+,"boot_id":"[^"]*","chain":"%b",'

type Fit = Literal["next", "known", "later", "late", "fork", "broken", "unsigned"]
"""How what came stands to what is there; "late" is what came after its gap was given up."""


class Copy:
    """The copy of one chain. Whoever uses it has locked the folder that all of it lies in."""

    def __init__(self, directory: Path, chain: str, storage: Storage | None = None) -> None:
        """Raises ValueError where `chain` is no plain name, OSError where the disk fails."""
        self.folder = chain_folder(directory, chain)
        self.head: Seal | None = None
        self._origin = re.compile(_ORIGIN % re.escape(chain).encode())
        self._storage = storage or Disk()
        self._recent: OrderedDict[int, str] = OrderedDict()
        self._lines: list[bytes] = []
        self._file: int | None = None
        self._length = 0
        self._storage.make_directory(self.folder)
        self._told = HeadFile(self.folder)
        self._resume()

    def fit(self, line: bytes) -> tuple[Fit, Seal | None]:
        """How a line stands to the chain: the next, one that is there, a later one, or wrong."""
        seal = check(line)
        if seal is None or not self._origin.match(line):
            return "broken", None
        if self.head is None:
            return ("next" if seal.seq == 1 else "later"), seal
        if seal.seq <= self.head.seq:
            known = self.hash_of(seal.seq)
            return ("late" if known is None else "known" if known == seal.hash else "fork"), seal
        if seal.seq > self.head.seq + 1:
            return "later", seal
        return ("next" if seal.prev == self.head.hash else "fork"), seal

    def add(self, line: bytes, seal: Seal) -> None:
        """Take a line as the chain's newest; on the disk after `flush`."""
        if self.head is None or seal.seq != self.head.seq + 1 or self._length >= SEGMENT_LIMIT:
            self.flush()
            self._begin(seal.seq)
        self._lines.append(line)
        self._length += len(line)
        self.head = seal
        self._remember(seal)

    def flush(self) -> None:
        """Put all lines on the disk."""
        if self._file is None or self.head is None or not self._lines:
            return
        write_all(self._storage, self._file, b"".join(self._lines))
        self._storage.sync(self._file)
        self._lines.clear()
        self._told.put(self.head)

    def hash_of(self, seq: int) -> str | None:
        """The hash of a record that was taken; None where there is none."""
        if seq in self._recent:
            return self._recent[seq]
        self.flush()
        lines = Lines(self.folder, seq - 1)
        try:
            while (line := lines.next()) is not None:
                seal = check(line)
                if seal is not None and seal.seq >= seq:
                    return seal.hash if seal.seq == seq else None
        finally:
            lines.close()
        return None

    def close(self) -> None:
        self._release()
        self._told.close()

    def _resume(self) -> None:
        """Find the end of what is whole, and cut off what a crash has left behind it.

        What is cut was never acknowledged, so it comes again.
        """
        for path in reversed(segments(self.folder)):
            self._scan(path)
            if self._length:
                self._file = self._storage.open(path, create=False)
                self._storage.cut(self._file, self._length)
                break
            path.unlink()
        if self.head is not None:
            self._told.put(self.head)

    def _scan(self, path: Path) -> None:
        with path.open("rb") as file:
            for line in file:
                seal = check(line)
                if seal is None:
                    break
                self.head = seal
                self._remember(seal)
                self._length += len(line)

    def _begin(self, seq: int) -> None:
        self._release()
        self._length = 0
        self._file = self._storage.open(segment_path(self.folder, seq), create=True)

    def _release(self) -> None:
        if self._file is not None:
            self._storage.close(self._file)
            self._file = None

    def _remember(self, seal: Seal) -> None:
        self._recent[seal.seq] = seal.hash
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
