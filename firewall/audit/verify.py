"""Checking a log offline: every byte of every record, every link, every segment, every checkpoint.

Written apart from the code that writes and opens logs, so that one mistake in the format cannot
hide in both: it shares with them the descriptions at the heads of record.py and checkpoint.py and
the arithmetic of trees and notes, which deploy/verify_audit.py does once more on its own. All
chains are taken as one log. A log cut at its end together with its checkpoints is seen only against
a checkpoint that was kept elsewhere.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from firewall.audit.segments import open_segment
from firewall.audit.status import BATCH, ORDER, Problem, Status, torn
from firewall.audit.verify_checkpoints import (
    CheckpointReport,
    Checkpoints,
    Marks,
    Seen,
    set_back,
)
from firewall.frozen import frozen
from firewall.notes import Key

GRACE_NS = 120 * 1_000_000_000
"""How long a running firewall may write without a checkpoint; it signs every ten seconds."""


@frozen
class ChainReport:
    """What was found in one chain.

    `records` counts those that hold. `where` ("file:line") and `why` tell the first thing that does
    not. `closed` says whether the last record is the one that a log ends with: without it the
    process was killed or is still running, or the end was cut off. `signed` is the newest record
    that a checkpoint covers.
    """

    chain: str
    status: Status
    records: int
    where: str = ""
    why: str = ""
    closed: bool = False
    signed: int = 0


@frozen
class Report:
    """What was found in a log: "intact", or the worst that was found anywhere in it."""

    chains: tuple[ChainReport, ...]
    checkpoints: CheckpointReport

    @property
    def status(self) -> Status:
        """The worst of all chains and of the checkpoints."""
        found = [self.checkpoints.status, *(each.status for each in self.chains)]
        return max(found, key=ORDER.index)


def verify(directory: Path, key: Key | None = None, seen: Sequence[Seen] = ()) -> Report:
    """Check all chains of a log, and its checkpoints against `key` and those `seen` elsewhere.

    Raises OSError where it cannot be read or holds no chain.
    """
    checkpoints = Checkpoints(directory, key, seen)
    signed = checkpoints.check()
    marks = checkpoints.marks
    folders = sorted(each for each in directory.iterdir() if each.is_dir() and _segments(each))
    if not folders and not marks:
        raise FileNotFoundError(f"{directory}: there is no audit log here")
    watched = signed.count > 0 and signed.status in ("intact", "torn", "backwards")
    chains = [
        _Check(folder, marks.get(folder.name, Marks()), watched=watched).run() for folder in folders
    ]
    gone = sorted(marks.keys() - {folder.name for folder in folders})
    return Report((*chains, *(_gone(directory / name) for name in gone)), signed)


def _gone(folder: Path) -> ChainReport:
    return ChainReport(folder.name, "missing", 0, str(folder), "the chain was signed and is gone")


def _segments(folder: Path) -> list[Path]:
    found = {path.name[:20]: path for path in sorted(folder.glob("[0-9]" * 20 + ".log.zst"))}
    found |= {path.name[:20]: path for path in folder.glob("[0-9]" * 20 + ".log")}
    return sorted(found.values())


class _Check:
    """Walks one chain from its first record to its last.

    `watched` tells whether the log has whole checkpoints, so that records without one are a gap.
    """

    def __init__(self, folder: Path, marks: Marks, *, watched: bool) -> None:
        self._folder = folder
        self._marks = marks
        self._watched = watched
        self._seq = 0
        self._hash: str | None = "0" * 64
        self._last: dict[str, Any] = {}
        self._since = 0
        self._signed = 0
        self._found: list[Problem] = []

    def run(self) -> ChainReport:
        files = _segments(self._folder)
        try:
            self._begin(files[0])
            for segment in files:
                self._check_segment(segment, is_last=segment == files[-1])
            closed = self._last.get("kind") == "log.closed"
        except Problem as problem:
            self._found.append(problem)
            closed = False
        self._check_end(files[-1])
        worst = max(self._found, key=lambda each: ORDER.index(each.status), default=_INTACT)
        return ChainReport(
            self._folder.name,
            worst.status,
            self._seq,
            worst.where,
            worst.why,
            closed=closed,
            signed=self._signed,
        )

    def _begin(self, first: Path) -> None:
        """Begin after the part that a checkpoint says was removed, where the start is not there."""
        seq = int(first.name[:20])
        if any(kept >= seq > 1 for kept in self._marks.trimmed):
            self._seq, self._hash = seq - 1, None

    def _check_segment(self, segment: Path, *, is_last: bool) -> None:
        first = int(segment.name[:20])
        if first > self._seq + 1:
            why = f"records {self._seq + 1} to {first - 1} are missing, with their segments"
            raise Problem("missing", f"{segment}:1", why)
        if first != self._seq + 1:
            why = f"the segment's name says {first}, but record {self._seq} came before"
            raise Problem("tampered", f"{segment}:1", why)
        offset = 0
        with open_segment(segment) as file:
            for number, line in enumerate(_lines(file, segment), 1):
                place = f"{segment}:{number}"
                record, digest, why = self._read(line)
                if why:
                    rest = line + file.read(BATCH + 1)
                    cut = is_last and torn(rest, offset)
                    raise Problem("torn" if cut else "tampered", place, _TORN if cut else why)
                self._check_time(record, place)
                self._seq, self._hash, self._last = record["seq"], digest, record
                offset += len(line)

    def _read(self, line: bytes) -> tuple[dict[str, Any], str, str]:
        """A line's record, its hash, and why it does not hold, or "" where it does."""
        body, mark, end = line.rpartition(b',"hash":"')
        digest = hashlib.sha256(b"\0" + body).hexdigest()
        if not mark or end != digest.encode() + b'"}\n':
            return {}, digest, "the record's hash does not hold"
        try:
            record = json.loads(line, object_pairs_hook=_members)
        except (ValueError, RecursionError) as error:
            return {}, digest, f"the record is not JSON: {error}"
        return record, digest, self._check_members(record) or self._check_mark(record, digest)

    def _check_members(self, record: dict[str, Any]) -> str:
        if record.get("seq") != self._seq + 1:
            return f"record {record.get('seq')} stands where record {self._seq + 1} belongs"
        due = {self._hash, self._marks.trimmed.get(record["seq"])} - {None}
        if due - {record.get("prev")}:
            return f"record {record['seq']} does not follow from the one before"
        if record.get("chain") != self._folder.name:
            return f"the record belongs to chain {record.get('chain')!r}"
        if type(record.get("monotonic_ns")) is not int or type(record.get("time")) is not str:
            return "the record's times are no times"
        return ""

    def _check_mark(self, record: dict[str, Any], digest: str) -> str:
        """Hold a record against the checkpoint that signed it."""
        signed, number = self._marks.heads.get(record["seq"], ("", 0))
        if number and signed != digest:
            return f"record {record['seq']} is not the one that checkpoint {number} signed"
        if number:
            self._signed = record["seq"]
        return ""

    def _check_time(self, record: dict[str, Any], place: str) -> None:
        """Note times that run backwards within one start of the machine, and unsigned stretches."""
        last, moment, time = self._last, record["monotonic_ns"], record["time"]
        same_start = bool(last) and last.get("boot_id") == record.get("boot_id")
        if same_start and (moment < last["monotonic_ns"] or set_back(last["time"], time)):
            why = f"record {record['seq']} is of {time}, the one before of {last['time']}"
            self._note("backwards", place, why)
        if not last or self._signed == self._seq or record.get("kind") == "log.opened":
            self._since = moment
        if self._watched and moment - self._since > GRACE_NS:
            after = f"after record {self._signed}" if self._signed else "at all"
            self._note("gap", place, f"no checkpoint was signed in time {after}")

    def _note(self, status: Status, place: str, why: str) -> None:
        """Keep the first of each kind of what does not end the walk."""
        if all(each.status != status for each in self._found):
            self._found.append(Problem(status, place, why))

    def _check_end(self, last: Path) -> None:
        """Whether records are gone that a checkpoint signed; a crash cannot have taken them."""
        newest = max(self._marks.heads, default=0)
        ended = all(each.status in ("torn", "backwards", "gap") for each in self._found)
        if newest > self._seq and ended:
            number = self._marks.heads[newest][1]
            why = f"the chain ends at record {self._seq}, but checkpoint {number} signed {newest}"
            self._found.append(Problem("truncated", str(last), why))


def _lines(file: BinaryIO, segment: Path) -> Iterator[bytes]:
    """The lines of a segment, whose compressed form may be damaged too."""
    if segment.suffix == ".log":
        yield from file
        return
    from zstandard import ZstdError

    try:
        yield from file
    except ZstdError as error:
        raise Problem("tampered", str(segment), f"it cannot be unpacked: {error}") from None


_INTACT = Problem("intact", "", "")
_TORN = "the last write was cut short, as by a crash; the next start moves it to torn/"


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members; a name given twice would mean different things to different readers."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members
