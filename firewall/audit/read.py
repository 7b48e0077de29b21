"""Reading the records of all chains back, in the order of their times.

For people and reports: nothing is verified here, and a line that cannot be read becomes a record of
kind "log.unreadable" in its place, so that it is not passed over.
"""

import heapq
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from firewall.audit.lines import Lines
from firewall.audit.segments import chains, open_segment, segments

POLL_SECONDS = 0.2

type Record = dict[str, Any]


def read(
    directory: Path, *, follow: bool = False, after: Mapping[str, int] | None = None
) -> Iterator[Record]:
    """All records of a log by time, those of `after` (chain -> seq) and before left out.

    With `follow` it goes on for ever with what is written later, new chains included. Raises
    OSError where the folder cannot be read.
    """
    with closing(Follower(directory, after)) as follower:
        yield from follower.more()
        while follow:
            time.sleep(POLL_SECONDS)
            yield from follower.more()


class Follower:
    """Reads a log on from where it stands, without waiting: what each chain has more, and new ones.

    Begins after the records of `after` (chain -> seq).
    """

    def __init__(self, directory: Path, after: Mapping[str, int] | None = None) -> None:
        self._directory = directory
        self._after = after or {}
        self._cursors: dict[Path, _Cursor] = {}

    def more(self) -> Iterator[Record]:
        """What was written since, by time. Raises OSError where the folder cannot be read."""
        for folder in chains(self._directory):
            if folder not in self._cursors:
                self._cursors[folder] = _Cursor(folder, self._after.get(folder.name, 0))
        return heapq.merge(*self._cursors.values(), key=_moment)

    def close(self) -> None:
        """Close the segments that are being read."""
        for cursor in self._cursors.values():
            cursor.close()


def find(directory: Path, chain: str, seq: int) -> Record | None:
    """One record by its chain and number; None where there is none. Raises OSError as `read`."""
    folders = [folder for folder in chains(directory) if folder.name == chain]
    for folder in folders:
        cursor = _Cursor(folder, seq - 1)
        try:
            return next((each for each in cursor if each.get("seq") == seq), None)
        finally:
            cursor.close()
    return None


def last(directory: Path, count: int) -> list[Record]:
    """The newest `count` records of a log, oldest first. Raises OSError as `read` does."""
    newest = (_last_of_chain(folder, count) for folder in chains(directory))
    return list(heapq.merge(*newest, key=_moment))[-count:] if count else []


def heads(directory: Path) -> dict[str, int]:
    """The newest record of each chain, by its seq. Raises OSError as `read` does."""
    newest = {folder.name: _last_of_chain(folder, 1) for folder in chains(directory)}
    return {chain: records[0].get("seq", 0) for chain, records in newest.items() if records}


def _moment(record: Record) -> str:
    return str(record.get("time", ""))


def _last_of_chain(folder: Path, count: int) -> list[Record]:
    lines: list[tuple[bytes, Path, int]] = []
    for segment in reversed(segments(folder)):
        with open_segment(segment) as file:
            found = [(line, segment, number) for number, line in enumerate(file, 1)]
        lines = [each for each in found if each[0].endswith(b"\n")][-count:] + lines
        if len(lines) >= count:
            break
    return [_parse(*each) for each in lines[-count:]]


class _Cursor:
    """Iterates over the records of one chain up to its present end, and on when asked again."""

    def __init__(self, folder: Path, after: int) -> None:
        self._after = after
        self._lines = Lines(folder, after)

    def __iter__(self) -> Iterator[Record]:
        while (line := self._lines.next()) is not None:
            record = _parse(line, self._lines.segment, self._lines.number)
            if record.get("seq", self._after + 1) > self._after:
                yield record

    def close(self) -> None:
        """Close the segment that is being read."""
        self._lines.close()


def _parse(line: bytes, segment: Path, number: int) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if isinstance(record, dict) and isinstance(record.get("seq"), int):
        return record
    return {
        "kind": "log.unreadable",
        "chain": segment.parent.name,
        "file": str(segment),
        "line": number,
    }
