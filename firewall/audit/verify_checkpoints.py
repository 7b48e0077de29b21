"""Checking a log's checkpoints: their tree, their signatures, their times, and copies of them.

What holds of them yields the marks that the chains are held against: which record must have which
hash, and from where a chain may begin.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from firewall.audit import checkpoint as notes
from firewall.audit.checkpoint import Checkpoint, Root
from firewall.audit.keys import rotation, succession
from firewall.audit.merkle import Tree
from firewall.audit.status import Problem, Status, torn
from firewall.frozen import frozen
from firewall.notes import Key, Note

STEP = timedelta(seconds=2)
"""How far a wall clock may be set back unnoticed: time servers correct that much."""


@frozen
class Seen:
    """A note that was kept elsewhere, and where."""

    place: str
    note: str


@dataclass(slots=True)
class Marks:
    """What checkpoints say of one chain: its heads (seq -> hash, checkpoint), where it begins."""

    heads: dict[int, tuple[str, int]] = field(default_factory=dict)
    trimmed: dict[int, str] = field(default_factory=dict)


@frozen
class CheckpointReport:
    """What was found in the checkpoints of a log.

    `count` are those that hold and `newest` is the last one's time, "" where there is none; `key`
    is the newest key that they were held against, None where no key was given.
    """

    status: Status
    count: int
    newest: str = ""
    where: str = ""
    why: str = ""
    key: Key | None = None


class Checkpoints:
    """Walks a log's checkpoints. `marks` are those of the ones that hold, by chain."""

    def __init__(self, directory: Path, key: Key | None, seen: Sequence[Seen]) -> None:
        self._directory = directory
        self._keys = list(succession(key, rotations(directory))) if key else []
        self._epoch = 0
        self._seen = sorted(seen, key=lambda each: Root.parse(each.note).size)
        self._tree = Tree()
        self._origin = ""
        self._count = 0
        self._last: Checkpoint | None = None
        self._lesser: tuple[Status, str, str] | None = None
        self.marks: dict[str, Marks] = {}

    def check(self) -> CheckpointReport:
        """Check them all, to the first thing that does not hold."""
        try:
            self._check_copies()
            paths = notes.files(self._directory)
            for path in paths:
                self._check_file(path, is_last=path == paths[-1])
            self._check_end()
        except Problem as problem:
            return self._report(problem.status, problem.where, problem.why)
        return self._report(*(self._lesser or ("intact", "", "")))

    def _report(self, status: Status, where: str, why: str) -> CheckpointReport:
        newest = self._last.time if self._last else ""
        key = self._keys[-1] if self._keys else None
        return CheckpointReport(status, self._count, newest, where, why, key)

    def _check_file(self, path: Path, *, is_last: bool) -> None:
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                place = f"{path}:{number}"
                try:
                    found = Checkpoint.parse(line if line.endswith(b"\n") else b"")
                    root = Root.parse(found.note)
                except ValueError as error:
                    if is_last and torn(line + file.read(), offset):
                        raise Problem("torn", place, _TORN) from None
                    raise Problem("tampered", place, str(error)) from None
                self._check_one(found, root, place, is_first=number == 1)
                offset += len(line)

    def _check_one(self, found: Checkpoint, root: Root, place: str, *, is_first: bool) -> None:
        _must(root.size == found.number, place, "the note is of another statement")
        self._check_signature(found, place)
        due = self._count + 1
        if found.number > due:
            raise Problem("gap", place, f"checkpoints {due} to {found.number - 1} are missing")
        before = self._tree.roots if is_first else None
        _must(found.number == due, place, f"checkpoint {due} belongs here")
        _must(found.before == before, place, "the tree before it is not as told")
        notes.grow(self._tree, found)
        _must(root.hash == self._tree.root(), place, "the note's root does not fit the statements")
        _must(self._origin in ("", root.origin), place, "it is another log's")
        self._check_copy(found, root)
        self._check_time(found, place)
        self._origin, self._last, self._count = root.origin, found, found.number
        self._mark(found)

    def _check_signature(self, found: Checkpoint, place: str) -> None:
        if not self._keys:
            return
        for pair in filter(None, map(rotation, found.rotations)):
            if pair[0] == self._keys[self._epoch] and pair[1] in self._keys:
                self._epoch += 1
        key = self._keys[self._epoch]
        standing = Note.parse(found.note).standing(key)
        _must(standing != "invalid", place, "the signature does not hold")
        if standing == "missing":
            raise Problem("unsigned", place, f"it is not signed by the key {_named(key)}")

    def _check_copies(self) -> None:
        """What was kept elsewhere proves nothing unless the key signed it."""
        for copy in self._seen if self._keys else ():
            note = Note.parse(copy.note)
            if all(note.standing(key) != "valid" for key in self._keys):
                why = f"it is not signed by the key {_named(self._keys[0])}"
                raise Problem("unsigned", copy.place, why)

    def _check_copy(self, found: Checkpoint, root: Root) -> None:
        while self._seen and Root.parse(self._seen[0].note).size == found.number:
            copy = self._seen.pop(0)
            same = Root.parse(copy.note) == root
            _must(same, copy.place, f"checkpoint {found.number} was another when it was kept")

    def _check_time(self, found: Checkpoint, place: str) -> None:
        before = self._last
        if before is None or before.boot_id != found.boot_id or self._lesser:
            return
        if found.moment < before.moment or set_back(before.time, found.time):
            why = f"checkpoint {found.number} is of {found.time}, the one before of {before.time}"
            self._lesser = ("backwards", place, why)

    def _check_end(self) -> None:
        for copy in self._seen:
            size = Root.parse(copy.note).size
            why = f"the log ends at checkpoint {self._count}, but checkpoint {size} was signed"
            raise Problem("truncated", copy.place, why)
        if self._keys and not self._count:
            why = "nothing was ever signed here: there is no checkpoint"
            raise Problem("unsigned", str(notes.folder(self._directory)), why)

    def _mark(self, found: Checkpoint) -> None:
        for name, head in found.heads.items():
            marks = self.marks.setdefault(name, Marks())
            marks.heads.setdefault(head.seq, (head.hash, found.number))
            if head.first > 1:
                marks.trimmed[head.first] = head.prev


def _must(holds: bool, place: str, why: str) -> None:
    if not holds:
        raise Problem("tampered", place, why)


def read_seen(path: Path) -> list[Seen]:
    """The checkpoints in a file from elsewhere: lines as a log has them, or one signed note.

    Raises ValueError where it holds none, OSError where it cannot be read.
    """
    text = path.read_text()
    if not text.startswith("{"):
        Root.parse(text)
        return [Seen(str(path), text)]
    whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [
        Seen(f"{path}:{number}", Checkpoint.parse(line.encode()).note)
        for number, line in enumerate(whole, 1)
    ]


def set_back(before: str, after: str) -> bool:
    """Whether the wall clock went back further than time servers set it."""
    if after >= before:  # as text too: RFC 3339 in UTC, always as long
        return False
    try:
        return datetime.fromisoformat(after) < datetime.fromisoformat(before) - STEP
    except (ValueError, TypeError):
        return True


def rotations(directory: Path) -> Iterator[str]:
    """The rotations told in all checkpoints that can be read."""
    for path in notes.files(directory):
        for _, line in notes.lines(path):
            if b"rotations" in line:
                try:
                    yield from Checkpoint.parse(line).rotations
                except ValueError:
                    return


def _named(key: Key) -> str:
    return f"{key.name}+{key.id.hex()}"


_TORN = "the last checkpoint was cut short, as by a crash; the next one takes its place"
