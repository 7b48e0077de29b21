"""Checking a log offline: every byte of every record, every link, every segment.

Written apart from the code that writes and opens logs, so that one mistake in the format cannot
hide in both: it shares with them only the description at the head of record.py. What it cannot
see is a chain cut at its end, written anew from some record on, or removed whole: only an anchor
outside of the machine shows that.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

type Status = Literal["intact", "torn", "missing", "tampered"]

_ORDER: tuple[Status, ...] = ("intact", "torn", "missing", "tampered")
_BATCH = 10 << 20
"""A crash tears no more than one batch; see TORN_LIMIT in segments.py."""
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What was found in one chain.

    `records` counts those that hold. `where` ("file:line") and `why` tell the first thing that does
    not. `closed` says whether the last record is the one that a log ends with: without it the
    process was killed or is still running, or the end was cut off.
    """

    chain: str
    status: Status
    records: int
    where: str = ""
    why: str = ""
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a log: "intact", or the worst that was found in any chain."""

    chains: tuple[ChainReport, ...]

    @property
    def status(self) -> Status:
        """The worst of all chains."""
        return max((each.status for each in self.chains), key=_ORDER.index)


def verify(directory: Path) -> Report:
    """Check all chains of a log. Raises OSError where it cannot be read or holds no chain."""
    folders = sorted(each for each in directory.iterdir() if each.is_dir() and _segments(each))
    if not folders:
        raise FileNotFoundError(f"{directory}: there is no audit log here")
    return Report(tuple(_Check(folder).run() for folder in folders))


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]" * 20 + ".log"))


class _BrokenError(Exception):
    """The first thing that does not hold."""

    def __init__(self, status: Status, where: Path, line: int, why: str) -> None:
        self.status = status
        self.where = f"{where}:{line}"
        self.why = why


class _Check:
    """Walks one chain from its first record to its last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seq = 0
        self._hash = "0" * 64
        self._kind = ""

    def run(self) -> ChainReport:
        files = _segments(self._folder)
        try:
            for segment in files:
                self._check_segment(segment, is_last=segment == files[-1])
        except _BrokenError as broken:
            return ChainReport(
                self._folder.name, broken.status, self._seq, broken.where, broken.why
            )
        closed = self._kind == "log.closed"
        return ChainReport(self._folder.name, "intact", self._seq, closed=closed)

    def _check_segment(self, segment: Path, *, is_last: bool) -> None:
        first = int(segment.stem)
        if first > self._seq + 1:
            why = f"records {self._seq + 1} to {first - 1} are missing, with their segments"
            raise _BrokenError("missing", segment, 1, why)
        if first != self._seq + 1:
            why = f"the segment's name says {first}, but record {self._seq} came before"
            raise _BrokenError("tampered", segment, 1, why)
        offset = 0
        with segment.open("rb") as file:
            for number, line in enumerate(file, 1):
                why = self._check_line(line)
                if why:
                    rest = line + file.read(_BATCH + 1)
                    torn = is_last and _torn(rest, offset)
                    status: Status = "torn" if torn else "tampered"
                    raise _BrokenError(status, segment, number, _TORN if torn else why)
                offset += len(line)

    def _check_line(self, line: bytes) -> str:
        """Why a line does not hold, or "" where it does and becomes the newest record."""
        body, mark, end = line.rpartition(b',"hash":"')
        digest = hashlib.sha256(b"\0" + body).hexdigest()
        if not mark or end != digest.encode() + b'"}\n':
            return "the record's hash does not hold"
        try:
            record = json.loads(line, object_pairs_hook=_members)
        except (ValueError, RecursionError) as error:
            return f"the record is not JSON: {error}"
        why = self._check_members(record)
        if not why:
            self._seq, self._hash, self._kind = (
                record["seq"],
                digest,
                str(record.get("kind")),
            )
        return why

    def _check_members(self, record: dict[str, Any]) -> str:
        if record.get("seq") != self._seq + 1:
            return f"record {record.get('seq')} stands where record {self._seq + 1} belongs"
        if record.get("prev") != self._hash:
            return f"record {record['seq']} does not follow from the one before"
        if record.get("chain") != self._folder.name:
            return f"the record belongs to chain {record.get('chain')!r}"
        return ""


_TORN = "the last write was cut short, as by a crash; the next start moves it to torn/"


def _torn(rest: bytes, offset: int) -> bool:
    """Whether a crash can have left these bytes: an unfinished line, or pages of zeros."""
    line = rest.split(b"\n", 1)[0]
    _, zero, after = line.partition(b"\0")
    if len(rest) > _BATCH or not zero:
        return len(rest) <= _BATCH and line == rest
    end = len(line) - len(after.lstrip(b"\0"))
    return end == len(rest) or (offset + end) % _PAGE == 0


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members; a name given twice would mean different things to different readers."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members
