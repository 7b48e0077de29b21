"""An index over a log's records, made from them and thrown away at will: never the truth.

One SQLite file beside the chains, brought up to date before each search: it holds what is searched
for most and where each record stands; the records themselves are read from the log. What was
removed or changed in the log since leaves the index too.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from firewall.audit.filter import Condition
from firewall.audit.read import Record
from firewall.audit.segments import chains, first_seq, open_segment, segments
from firewall.frozen import frozen

FILE = "index.sqlite"
BATCH = 10_000
_VERSION = 1
_COLUMNS = (
    "seq", "port", "pid", "chain", "time", "kind", "verdict", "rule", "severity", "reason",
    "request", "host", "protocol", "sandbox", "program", "tool", "segment", "offset", "length",
)  # fmt: skip
_TEXT = frozenset({str, type(None)})
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS records ({", ".join(_COLUMNS)}, PRIMARY KEY (chain, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ends (chain PRIMARY KEY, segment, offset, seq, hash);
CREATE INDEX IF NOT EXISTS by_time ON records (time);
CREATE INDEX IF NOT EXISTS by_rule ON records (rule, time) WHERE verdict = 'deny';
PRAGMA user_version = {_VERSION};
"""
_INSERT = f"INSERT OR REPLACE INTO records VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608


@frozen
class _End:
    """Up to where a chain is indexed: the next byte, and the last record before it."""

    segment: int = 0
    offset: int = 0
    seq: int = 0
    hash: str = ""


class Index:
    """The index of a log. Raises OSError where the log or the file cannot be used."""

    def __init__(self, directory: Path, path: Path | None = None) -> None:
        self._directory = directory
        self._path = path or directory / FILE
        with contextlib.suppress(sqlite3.DatabaseError):
            if self._open():
                return
            self._database.close()
        self._path.unlink(missing_ok=True)
        if not self._open():
            self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def update(self) -> int:
        """Read what the log has more, and forget what it has no more; how many records came."""
        folders = chains(self._directory)
        with self._changing():
            kept = [folder.name for folder in folders]
            for (name,) in self._database.execute("SELECT chain FROM ends").fetchall():
                if name not in kept:
                    self._forget(name)
            return sum(self._update(folder) for folder in folders)

    def search(
        self, conditions: Sequence[Condition], *, limit: int | None = None
    ) -> Iterator[Record]:
        """The matching records, newest first, as they stand in the log."""
        rest = [each for each in conditions if each.sql() is None]
        where, values = _where(conditions)
        query = f"SELECT chain, segment, offset, length FROM records WHERE {where} "  # noqa: S608
        order = "ORDER BY time DESC, chain, seq DESC"
        bound = f" LIMIT {int(limit)}" if limit is not None and not rest else ""
        with contextlib.closing(_Lines(self._directory)) as lines:
            rows = self._database.execute(query + order + bound, values)
            records = (record for row in rows if (record := lines.read(*row)) is not None)
            yield from islice((r for r in records if all(each.holds(r) for each in rest)), limit)

    def count(
        self, column: str, conditions: Sequence[Condition], *, limit: int = 10
    ) -> list[tuple[Any, int]]:
        """The most frequent values of a column among the matching records, and how frequent.

        Raises ValueError where a condition is on what the index does not hold.
        """
        for each in conditions:
            if each.sql() is None:
                raise ValueError(
                    f"{each.field.path} is not in the index, so it cannot be counted by"
                )
        where, values = _where(conditions)
        query = (
            f"SELECT {column}, count(*) FROM records WHERE {column} IS NOT NULL AND {where} "  # noqa: S608
            f"GROUP BY {column} ORDER BY 2 DESC, 1 LIMIT {int(limit)}"
        )
        return self._database.execute(query, values).fetchall()

    def sql(self, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The columns and rows of a query. Raises ValueError where it is none, or would change."""
        self._database.execute("PRAGMA query_only = 1")
        try:
            cursor = self._database.execute(query)
            rows = cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            columns = ", ".join(_COLUMNS[:-3])
            raise ValueError(f"{error}; the table is records ({columns})") from None
        finally:
            self._database.execute("PRAGMA query_only = 0")
        return [each[0] for each in cursor.description or ()], rows

    def _open(self) -> bool:
        """Whether the file is an index of this version."""
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._database = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        return bool(version == _VERSION)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _update(self, folder: Path) -> int:
        end = self._end(folder)
        files = [each for each in segments(folder) if first_seq(each) >= end.segment]
        before = first_seq(segments(folder)[0])
        self._database.execute(
            "DELETE FROM records WHERE chain = ? AND seq < ?", (folder.name, before)
        )
        count = 0
        for path in files:
            rows = _rows(path, end.offset if first_seq(path) == end.segment else 0)
            while batch := list(islice(rows, BATCH)):
                self._database.executemany(_INSERT, [row for row, _ in batch])
                count, end = count + len(batch), batch[-1][1]
        told = (folder.name, end.segment, end.offset, end.seq, end.hash)
        self._database.execute("INSERT OR REPLACE INTO ends VALUES (?, ?, ?, ?, ?)", told)
        return count

    def _end(self, folder: Path) -> _End:
        """Up to where a chain is indexed; its beginning where it is another chain by now."""
        query = "SELECT segment, offset, seq, hash FROM ends WHERE chain = ?"
        row = self._database.execute(query, (folder.name,)).fetchone()
        if row is None:
            return _End()
        end = _End(*row)
        query = "SELECT segment, offset, length FROM records WHERE chain = ? AND seq = ?"
        last = self._database.execute(query, (folder.name, end.seq)).fetchone()
        with contextlib.closing(_Lines(self._directory)) as lines:
            record = lines.read(folder.name, *last) if last else None
        if record is not None and record.get("hash") == end.hash:
            return end
        self._forget(folder.name)
        return _End()

    def _forget(self, chain: str) -> None:
        self._database.execute("DELETE FROM records WHERE chain = ?", (chain,))
        self._database.execute("DELETE FROM ends WHERE chain = ?", (chain,))


def _where(conditions: Sequence[Condition]) -> tuple[str, list[str | float]]:
    known = [sql for each in conditions if (sql := each.sql()) is not None]
    return " AND ".join(text for text, _ in known) or "1", [v for _, many in known for v in many]


def _rows(path: Path, offset: int) -> Iterator[tuple[tuple[Any, ...], _End]]:
    """The rows of a segment's whole lines from a byte on, and the end after each."""
    first = first_seq(path)
    with open_segment(path) as file:
        file.read(offset) if path.suffix != ".log" else file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            record = _parsed(line)
            if record is not None:
                row = (*_columns(record), first, offset, len(line))
                yield row, _End(first, offset + len(line), record["seq"], str(record.get("hash")))
            offset += len(line)


def _parsed(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(record, dict) and type(record.get("seq")) is int
    return record if known and 0 < record["seq"] < 1 << 63 else None


def _columns(record: Record) -> tuple[Any, ...]:
    verdict, request = _part(record, "verdict"), _part(record, "request")
    actor = _part(record, "actor")
    process = _part(actor, "process")
    numbers = (record["seq"], request.get("port"), process.get("pid"))
    texts = (
        record.get("chain"), record.get("time"), record.get("kind"), verdict.get("action"),
        verdict.get("rule"), verdict.get("severity"), verdict.get("reason"), request.get("type"),
        request.get("host", request.get("name")), request.get("protocol"), actor.get("sandbox"),
        process.get("exe"), actor.get("tool_call"),
    )  # fmt: skip
    usual = _TEXT.issuperset(map(type, texts))
    return (*map(_storable, numbers), *(texts if usual else map(_storable, texts)))


def _storable(value: Any) -> str | float | None:
    """What a column can hold; a number beyond SQLite's 64 bits as text, as anything else."""
    if type(value) is int and -(1 << 63) <= value < 1 << 63:
        return value
    return value if value is None or type(value) in (str, float) else str(value)


def _part(record: Record, name: str) -> Record:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


class _Lines:
    """Reads single records; of a compressed segment, the whole of it once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[tuple[str, int], BinaryIO] = {}
        self._held: tuple[str, int, bytes] = ("", 0, b"")

    def read(self, chain: str, segment: int, offset: int, length: int) -> Record | None:
        """None where it is gone or has changed its place."""
        try:
            return _parsed(self._bytes(chain, segment, offset, length))
        except OSError:
            return None

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _bytes(self, chain: str, segment: int, offset: int, length: int) -> bytes:
        plain = self._directory / chain / f"{segment:020d}.log"
        if (chain, segment) in self._files or plain.exists():
            if (chain, segment) not in self._files:
                self._files[chain, segment] = plain.open("rb")
            file = self._files[chain, segment]
            file.seek(offset)
            return file.read(length)
        if self._held[:2] != (chain, segment):
            with open_segment(plain.with_suffix(".log.zst")) as packed:
                self._held = (chain, segment, packed.read())
        return self._held[2][offset : offset + length]
