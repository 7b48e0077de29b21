"""The checkpoints of a log as they are written down a second time, each verified as it comes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from firewall.audit import checkpoint as notes
from firewall.audit.checkpoint import Checkpoint, Root
from firewall.audit.ingest.copy import Fit
from firewall.audit.keys import rotation, succession
from firewall.audit.merkle import Tree
from firewall.audit.record import Seal
from firewall.audit.storage import Disk, Storage, write_all
from firewall.audit.verify_checkpoints import rotations
from firewall.notes import Key, Note


class Notes:
    """The copy of a log's checkpoints, with the same methods as that of a chain.

    `key` is the one pinned for its source, or one that it leads to; None where none is.
    """

    def __init__(self, directory: Path, key: Key | None, storage: Storage | None = None) -> None:
        self.head: Seal | None = None
        self._directory = directory
        self._storage = storage or Disk()
        self._keys: Sequence[Key] = succession(key, rotations(directory)) if key else ()
        self._tree: Tree | None = Tree()
        self._lines: list[bytes] = []
        self._file: int | None = None
        self._storage.make_directory(notes.folder(directory))
        self._resume()

    @property
    def verified(self) -> int:
        """The newest checkpoint that a known key signed; 0 where none came, or no key is known."""
        return self.head.seq if self.head and self._keys else 0

    def fit(self, line: bytes) -> tuple[Fit, Seal | None]:
        """How a line stands to those that are there."""
        try:
            found = Checkpoint.parse(line)
            root = Root.parse(found.note)
        except ValueError:
            return "broken", None
        seal = Seal(found.number, "", hashlib.sha256(line).hexdigest())
        count = self.head.seq if self.head else 0
        if found.number <= count:
            known = self.hash_of(found.number)
            return ("late" if known is None else "known" if known == seal.hash else "fork"), seal
        if not self._signed(found):
            return "unsigned", seal
        if found.number > count + 1:
            return "later", seal
        return ("next" if self._follows(found, root) else "fork"), seal

    def add(self, line: bytes, seal: Seal) -> None:
        """Take a line as the newest; on the disk after `flush`."""
        found = Checkpoint.parse(line)
        if found.before is not None or self._file is None:
            self.flush()
            self._begin(found.number)
        self._grow(found)
        self._lines.append(line)
        self.head = seal

    def flush(self) -> None:
        """Put all lines on the disk."""
        if self._file is not None and self._lines:
            write_all(self._storage, self._file, b"".join(self._lines))
            self._storage.sync(self._file)
            self._lines.clear()

    def hash_of(self, number: int) -> str | None:
        """SHA-256 of the line of a checkpoint that was taken."""
        self.flush()
        for path in reversed(notes.files(self._directory)):
            if int(path.stem) > number:
                continue
            for _, line in notes.lines(path):
                if Checkpoint.parse(line).number == number:
                    return hashlib.sha256(line).hexdigest()
            break
        return None

    def close(self) -> None:
        if self._file is not None:
            self._storage.close(self._file)
            self._file = None

    def _signed(self, found: Checkpoint) -> bool:
        """Whether the pinned key signed it, or one that follows from it."""
        if not self._keys:
            return True
        note = Note.parse(found.note)
        known = [*self._keys, *self._following(found)]
        return any(note.standing(key) == "valid" for key in known)

    def _following(self, found: Checkpoint) -> list[Key]:
        """The keys that a checkpoint's rotations lead to from the newest known."""
        keys = [self._keys[-1]]
        for pair in filter(None, map(rotation, found.rotations)):
            if pair[0] == keys[-1]:
                keys.append(pair[1])
        return keys[1:]

    def _follows(self, found: Checkpoint, root: Root) -> bool:
        """Whether the note's root is that of the statements up to this one."""
        if self._tree is None:
            return True
        grown = Tree(self._tree.size, self._tree.roots)
        notes.grow(grown, found)
        return (root.size, root.hash) == (grown.size, grown.root())

    def _grow(self, found: Checkpoint) -> None:
        """Go on with the tree; after a gap it is known again where a file of them began."""
        if found.before is not None:
            self._tree = Tree(found.number - 1, found.before)
        elif self._tree is not None and self._tree.size != found.number - 1:
            self._tree = None
        if self._tree is not None:
            notes.grow(self._tree, found)
        if self._keys:
            self._keys = [*self._keys, *self._following(found)]

    def _resume(self) -> None:
        """Follow the last file to the end of what is whole, and cut off the rest."""
        for path in reversed(notes.files(self._directory)):
            length = 0
            for _, line in notes.lines(path):
                found = Checkpoint.parse(line)
                self._grow(found)
                self.head = Seal(found.number, "", hashlib.sha256(line).hexdigest())
                length += len(line)
            if length:
                self._file = self._storage.open(path, create=False)
                self._storage.cut(self._file, length)
                return
            path.unlink()

    def _begin(self, number: int) -> None:
        self.close()
        self._file = self._storage.open(notes.file_path(self._directory, number), create=True)
