"""The files of one chain: their names, and where the good records in them end."""

import io
import re
from pathlib import Path
from typing import BinaryIO

from firewall.audit.errors import AuditError
from firewall.audit.record import GENESIS, RECORD_LIMIT, Seal, check
from firewall.frozen import frozen

BATCH_LIMIT = 4 << 20
"""Bytes of events written at once, and so about the most that a crash can tear."""

TORN_LIMIT = 2 * (BATCH_LIMIT + RECORD_LIMIT)
"""Bytes that can be a torn tail: one batch with all that is added to each of its records."""

PAGE = 4096
"""Bytes that reach the disk together or not at all, at the least."""

_ZEROS = re.compile(rb"\0+")
_NAME = re.compile(r"[0-9]{20}\.log(\.zst)?")
_CHAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_START = Seal(seq=0, prev="", hash=GENESIS)


def chain_folder(directory: Path, chain: str) -> Path:
    """Where a chain lives; ValueError for a name that is no plain folder name."""
    if not _CHAIN.fullmatch(chain):
        raise ValueError(f"chain {chain!r}: write 1 to 64 letters, digits, '.', '_' or '-'")
    return directory / chain


def chains(directory: Path) -> list[Path]:
    """The folders of all chains in a log, by name. Raises OSError where it cannot be read."""
    return sorted(each for each in directory.iterdir() if each.is_dir() and segments(each))


def segments(folder: Path) -> list[Path]:
    """A chain's segments, oldest first. One that stands there compressed too counts as it is."""
    files = sorted((each for each in folder.iterdir() if _NAME.fullmatch(each.name)), reverse=True)
    return sorted({first_seq(each): each for each in files}.values())


def open_segment(path: Path) -> BinaryIO:
    """A segment's bytes, compressed or not. Raises OSError where they cannot be read."""
    if path.suffix != ".zst":
        return path.open("rb")
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True)
    return io.BufferedReader(reader)


def segment_path(folder: Path, first: int) -> Path:
    """The file that begins with record `first`."""
    return folder / f"{first:020d}.log"


def first_seq(segment: Path) -> int:
    """The record that a segment begins with, by its name."""
    return int(segment.name[:20])


@frozen
class Tail:
    """A chain's end: its last segment, the last good record, the bytes that hold, the rest."""

    segment: Path
    seal: Seal
    length: int
    rest: bytes


def find_tail(folder: Path, acknowledged: Seal | None = None) -> Tail | None:
    """The end of a chain, its last segment checked whole; None where there is no segment.

    With `acknowledged`, all bytes after that record count as the rest. Raises AuditError where a
    record does not hold and a crash cannot be the cause, and OSError where a file cannot be read.
    """
    files = segments(folder)
    if not files:
        return None
    return _scan(files[-1], _before(files), acknowledged)


def _before(files: list[Path]) -> Seal:
    """The seal of the record before the last segment."""
    first = first_seq(files[-1])
    if len(files) == 1:
        if first != 1:
            raise damaged(files[-1], 1, f"the segments before record {first} are missing")
        return _START
    last = check(_last_line(files[-2]))
    if last is None:
        raise damaged(files[-2], "end", "its last record does not hold")
    if last.seq + 1 != first:
        raise damaged(files[-1], 1, f"a segment is missing: record {last.seq} is the one before")
    return last


def _last_line(path: Path) -> bytes:
    """The last line of a file, or what stands after it."""
    with open_segment(path) as file:
        if path.suffix == ".log":
            file.seek(max(0, path.stat().st_size - 2 * RECORD_LIMIT))
        end = file.read()
    return end[end.rfind(b"\n", 0, -1) + 1 :]


def _scan(path: Path, before: Seal, acknowledged: Seal | None) -> Tail:
    seal, length = before, 0
    with open_segment(path) as file:
        for number, line in enumerate(file, 1):
            if acknowledged is not None and seal.seq == acknowledged.seq:
                return Tail(path, _same(seal, acknowledged, path), length, line + file.read())
            found = check(line)
            if found is None or (found.seq, found.prev) != (seal.seq + 1, seal.hash):
                rest = line + file.read()
                if acknowledged is None and found is None and could_be_torn(rest, length):
                    return Tail(path, seal, length, rest)
                raise damaged(path, number, _why(found, seal))
            seal, length = found, length + len(line)
    if acknowledged is not None:
        _same(seal, acknowledged, path)
    return Tail(path, seal, length, b"")


def _same(seal: Seal, acknowledged: Seal, path: Path) -> Seal:
    if (seal.seq, seal.hash) != (acknowledged.seq, acknowledged.hash):
        raise damaged(path, "end", f"record {acknowledged.seq}, known to be written, is not there")
    return seal


def could_be_torn(rest: bytes, offset: int) -> bool:
    """Whether a crash can have left these bytes, which stand at `offset`, after the good records.

    A crash keeps a prefix of the last batch, or loses pages of it, which then read as zeros up to
    the page's or the file's end; no record contains zeros. Anything else was changed afterwards.
    """
    line = rest.partition(b"\n")[0]
    zeros = _ZEROS.search(line)
    if len(rest) > TORN_LIMIT or zeros is None:
        return len(rest) <= TORN_LIMIT and line == rest
    return zeros.end() == len(rest) or (offset + zeros.end()) % PAGE == 0


def _why(found: Seal | None, before: Seal) -> str:
    if found is None:
        return "the record's hash does not hold"
    if found.seq != before.seq + 1:
        return f"record {found.seq} stands where record {before.seq + 1} belongs"
    return f"record {found.seq} does not follow from the one before"


def damaged(path: Path, line: int | str, what: str) -> AuditError:
    """The refusal to go on with a log that was changed."""
    return AuditError(
        f"{path}:{line}: {what}. The audit log was changed after it was written, so nothing is "
        f"added to it. See all of it with `firewall audit verify --log {path.parent.parent}`; keep "
        f"{path.parent.parent} as evidence by moving it elsewhere, and a new log begins"
    )
