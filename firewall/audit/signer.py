"""The writing end of a log's checkpoints: one process at a time, whoever holds their lock.

A checkpoint whose write failed is kept and written again, byte for byte, before any other is made:
two different statements of one number would be two histories.
"""

import contextlib
import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from firewall.audit import checkpoint as notes
from firewall.audit import keys
from firewall.audit.checkpoint import Checkpoint, Head, Root
from firewall.audit.errors import AuditBusy, AuditError
from firewall.audit.head import read_head
from firewall.audit.merkle import Tree
from firewall.audit.record import Stamp
from firewall.audit.segments import chains, could_be_torn
from firewall.audit.storage import Storage, write_all
from firewall.notes import Note, SigningKey, sign


def durable_heads(directory: Path) -> dict[str, Head]:
    """Every chain's newest acknowledged record, as its writer tells it."""
    told = {folder.name: read_head(folder) for folder in chains(directory)}
    return {name: Head(seal.seq, seal.hash) for name, seal in told.items() if seal}


class Signer:
    """Adds checkpoints to a log. Raises AuditBusy where another process does that already.

    `authority` is the folder of the key, which is made there if there is none. Everything raises
    AuditError where what stands there was changed, and OSError where the disk fails.
    """

    def __init__(
        self,
        directory: Path,
        authority: Path,
        storage: Storage,
        boot_id: str,
        stamp: Callable[[], Stamp],
        file_checkpoints: int = notes.FILE_CHECKPOINTS,
    ) -> None:
        self._directory = directory
        self._authority = authority
        self._storage = storage
        self._boot_id = boot_id
        self._stamp = stamp
        self._file_checkpoints = file_checkpoints
        self._file: int | None = None
        self._length = 0
        self._in_file = 0
        self._tree = Tree()
        self._pending: Checkpoint | None = None
        self.last: Checkpoint | None = None
        self._origin = ""
        storage.make_directory(notes.folder(directory))
        try:
            self._lock = storage.lock(notes.folder(directory))
        except BlockingIOError:
            raise AuditBusy(f"{directory}: another process signs its checkpoints") from None
        try:
            self._take_over()
        except BaseException:
            self.close()
            raise

    def sign(self, trimmed: Mapping[str, Head] | None = None) -> Checkpoint | None:
        """State where every chain ends now; the checkpoint that is durable when this returns.

        `trimmed` names the chains of which an older part is about to be removed. None where there
        is no record yet.
        """
        if self._pending is None:
            heads = self._heads(trimmed or {})
            if not heads:
                return None
            self._pending = self._make(heads, keys.ensure(self._authority))
        self._write(self._pending)
        self.last, self._pending = self._pending, None
        notes.grow(self._tree, self.last)
        return self.last

    def close(self) -> None:
        """Close the file and let another process sign."""
        self._release()
        self._storage.close(self._lock)

    def _heads(self, trimmed: Mapping[str, Head]) -> dict[str, Head]:
        """All chains' heads, those of chains that are gone as they were last."""
        known = dict(self.last.heads) if self.last else {}
        for name, head in durable_heads(self._directory).items():
            before = known.get(name, head)
            if head.seq >= before.seq:
                known[name] = Head(head.seq, head.hash, before.first, before.prev)
        for name, cut in trimmed.items():
            known[name] = Head(known[name].seq, known[name].hash, cut.first, cut.prev)
        return known

    def _make(self, heads: Mapping[str, Head], key: SigningKey) -> Checkpoint:
        number, stamp = self._tree.size + 1, self._stamp()
        rotations = self._rotations(key)
        statement = {
            "checkpoint": number,
            "time": stamp.time,
            "monotonic_ns": stamp.monotonic_ns,
            "boot_id": self._boot_id,
            "heads": {name: head.told() for name, head in sorted(heads.items())},
            **({"rotations": rotations} if rotations else {}),
        }
        return self._signed(statement, heads, rotations, key)

    def _signed(
        self,
        statement: Mapping[str, Any],
        heads: Mapping[str, Head],
        rotations: list[str],
        key: SigningKey,
    ) -> Checkpoint:
        first = self._in_file % self._file_checkpoints == 0
        made = Checkpoint(
            number=statement["checkpoint"],
            time=statement["time"],
            moment=statement["monotonic_ns"],
            boot_id=self._boot_id,
            heads=heads,
            rotations=rotations,
            statement=json.dumps(statement, separators=(",", ":")),
            note="",
            before=list(self._tree.roots) if first else None,
        )
        grown = Tree(self._tree.size, self._tree.roots)
        notes.grow(grown, made)
        origin = self._origin or f"{key.public.name}/{secrets.token_hex(8)}"
        self._origin = origin
        return made.noted(sign(Root(origin, grown.size, grown.root()).text(), key))

    def _rotations(self, key: SigningKey) -> list[str]:
        if self.last is None:
            return keys.rotations(self._authority, None, key.public)
        ((_, last, _), *_) = Note.parse(self.last.note).signatures
        return keys.rotations(self._authority, last, key.public)

    def _write(self, made: Checkpoint) -> None:
        try:
            if made.before is not None:
                self._begin(made.number)
            line = made.line()
            file = self._opened()
            write_all(self._storage, file, line)
            self._storage.sync(file)
        except BaseException:
            self._release()
            raise
        self._length += len(line)
        self._in_file = 1 if made.before is not None else self._in_file + 1

    def _begin(self, number: int) -> None:
        """Open a new file, emptied where an attempt before has left something in it."""
        self._release()
        self._path, self._length = notes.file_path(self._directory, number), 0
        if not self._path.exists():
            self._file = self._storage.open(self._path, create=True)

    def _opened(self) -> int:
        """The file, cut to what is known to be on the disk where it had to be opened anew."""
        if self._file is None:
            self._file = self._storage.open(self._path, create=False)
            self._storage.cut(self._file, self._length)
        return self._file

    def _release(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._storage.close(self._file)
            self._file = None

    def _take_over(self) -> None:
        """Read the last file and go on after its last whole line."""
        paths = notes.files(self._directory)
        while paths and not next(notes.lines(paths[-1]), None):
            self._must_be_torn(paths[-1], 0)
            paths.pop()
        if not paths:
            return
        self._path = paths[-1]
        for number, line in notes.lines(self._path):
            try:
                self._follow(Checkpoint.parse(line))
            except ValueError as error:
                if self._must_be_torn(self._path, self._length):
                    break
                what = f"{self._path}:{number}: {error}"
                raise AuditError(f"{what}. {_changed(self._directory)}") from None
            self._length += len(line)
            self._in_file += 1
        self._must_be_torn(self._path, self._length)

    def _follow(self, found: Checkpoint) -> None:
        if found.before is not None:
            self._tree = Tree(found.number - 1, found.before)
        root = Root.parse(found.note)
        notes.grow(self._tree, found)
        if (root.size, root.hash) != (self._tree.size, self._tree.root()):
            raise ValueError("the note's root does not fit the statements")
        if found.number != root.size:
            raise ValueError(f"checkpoint {found.number} stands where {root.size} belongs")
        self._origin, self.last = root.origin, found

    def _must_be_torn(self, path: Path, length: int) -> bool:
        """Whether what follows these bytes is the end of a crash, which the next write cuts off."""
        with path.open("rb") as file:
            file.seek(length)
            rest = file.read()
        if rest and not could_be_torn(rest, length):
            raise AuditError(f"{path}: its end is no checkpoint. {_changed(self._directory)}")
        return bool(rest)


def _changed(log: Path) -> str:
    return (
        "The checkpoints were changed after they were written, so none is added to them; see what "
        f"holds with `firewall audit verify --log {log}`, and keep the log as evidence by moving "
        "it elsewhere"
    )
