r"""Checkpoints: signed statements of where every chain of a log ends (C2SP tlog-checkpoint).

They lie in `checkpoints/<number of the first, 20 digits>.notes`, a line of JSON each:

    {"before":[R,...],"statement":S,"note":N}

`statement` is the text of a JSON object: `checkpoint` (1, 2, ...), `time`, `monotonic_ns`,
`boot_id` as in a record, and `heads`: for each chain the `seq` and `hash` of its newest record,
and where old ones were removed the `first` that was kept and its `prev`. Statement number n is leaf
n - 1 of a tree (RFC 6962) that only grows; `note` signs its size, n, and its root, and so all
statements up to this one. `rotations` in a statement are notes by which its key follows another.
`before`, in the first line of a file, are the roots of the tree's full subtrees before it.

The key's name differs from the note's origin, against a SHOULD of tlog-checkpoint: one key signs
several logs, and each has an origin of its own.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from firewall.audit.merkle import Tree, leaf_hash
from firewall.frozen import frozen
from firewall.notes import Note

FOLDER = "checkpoints"
FILE_CHECKPOINTS = 1024
"""Checkpoints in one file: what is read again when the next process begins to sign."""

_FILE = re.compile(r"[0-9]{20}\.notes")


@frozen
class Head:
    """A chain's newest durable record; `first` and `prev` tell where an older part was removed."""

    seq: int
    hash: str
    first: int = 1
    prev: str = ""

    def told(self) -> dict[str, Any]:
        """As it stands in a statement."""
        kept = {"first": self.first, "prev": self.prev} if self.first > 1 else {}
        return {"seq": self.seq, "hash": self.hash, **kept}


@frozen
class Checkpoint:
    """One line of the file, taken apart and not believed. `moment` is its monotonic_ns."""

    number: int
    time: str
    moment: int
    boot_id: str
    heads: Mapping[str, Head]
    rotations: Sequence[str]
    statement: str
    note: str
    before: Sequence[bytes] | None = None

    @classmethod
    def parse(cls, line: bytes) -> "Checkpoint":
        """Raises ValueError where the line is no checkpoint."""
        try:
            outer = json.loads(line)
            inner = json.loads(outer["statement"])
            before = outer.get("before")
            return cls(
                number=_number(inner["checkpoint"]),
                time=str(inner["time"]),
                moment=_number(inner["monotonic_ns"]),
                boot_id=str(inner["boot_id"]),
                heads={str(name): _head(each) for name, each in inner["heads"].items()},
                rotations=[str(each) for each in inner.get("rotations", ())],
                statement=str(outer["statement"]),
                note=str(outer["note"]),
                before=None if before is None else [_root(each) for each in before],
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"this is no checkpoint: {error!r}") from None

    def noted(self, note: str) -> "Checkpoint":
        """The same with its note."""
        return replace(self, note=note)

    def line(self) -> bytes:
        """The bytes of its line."""
        first = {} if self.before is None else {"before": [each.hex() for each in self.before]}
        members = {**first, "statement": self.statement, "note": self.note}
        return json.dumps(members, separators=(",", ":")).encode() + b"\n"


@frozen
class Root:
    """What a note of a checkpoint says: which log, how many statements, their root."""

    origin: str
    size: int
    hash: bytes

    @classmethod
    def parse(cls, note: str) -> "Root":
        """Raises ValueError where the note's text is no checkpoint."""
        lines = Note.parse(note).text.split("\n")
        if len(lines) != 4 or not lines[0] or not re.fullmatch(r"[1-9][0-9]{0,18}", lines[1]):
            raise ValueError("the note's text is no checkpoint: origin, size, root")
        root = base64.b64decode(lines[2], validate=True)
        if base64.b64encode(root).decode() != lines[2] or len(root) != 32:
            raise ValueError("the note's root is no SHA-256 in base64")
        return cls(lines[0], int(lines[1]), root)

    def text(self) -> str:
        """The note's text, to be signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.hash).decode()}\n"


def folder(directory: Path) -> Path:
    """Where the checkpoints of a log lie."""
    return directory / FOLDER


def files(directory: Path) -> list[Path]:
    """A log's files of checkpoints, oldest first; none where nothing was signed."""
    place = folder(directory)
    if not place.is_dir():
        return []
    return sorted(each for each in place.iterdir() if _FILE.fullmatch(each.name))


def file_path(directory: Path, first: int) -> Path:
    """The file that begins with checkpoint `first`."""
    return folder(directory) / f"{first:020d}.notes"


def grow(tree: Tree, checkpoint: Checkpoint) -> None:
    """Add a checkpoint's statement to the tree."""
    tree.add(leaf_hash(checkpoint.statement.encode()))


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The whole lines of a file and their numbers; what follows the last is left out."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield number, line


def newest(directory: Path) -> Checkpoint | None:
    """The last checkpoint of a log, not checked. Raises ValueError where the line is none."""
    for path in reversed(files(directory)):
        last = b""
        for _, line in lines(path):
            last = line
        if last:
            return Checkpoint.parse(last)
    return None


def _head(value: Mapping[str, Any]) -> Head:
    first, prev = _number(value.get("first", 1)), str(value.get("prev", ""))
    return Head(_number(value["seq"]), str(value["hash"]), first, prev)


def _root(text: str) -> bytes:
    """One spelling only, so that no byte of a line can be changed unseen."""
    root = bytes.fromhex(text)
    if root.hex() != text:
        raise ValueError(f"{text!r} is no SHA-256 as it is written here")
    return root


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError(f"{value!r} is no number of a record or a time")
    return value
