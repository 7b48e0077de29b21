"""What a durable record costs, beside SQLite and a logger that promises nothing.

    uv run python -m tests.bench.audit [seconds] [rounds] [folder]

Each writer runs with 1, 16 and 256 waiters that append, wait until the record is on the disk, and
append again; writers take turns in each round. Prints medians over the rounds: records per second,
and the latency of one append. `signed` is the log with checkpoints; the plain JSON logger flushes
to the kernel only, so its records do not survive a loss of power. At last the signed log of as many
judging processes as there are cores, each with a chain of its own as in production, and the waiters
shared out among them.
"""

import contextlib
import json
import multiprocessing
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier
from typing import Any

from firewall.actor import Actor, Process
from firewall.audit import AuditLog, Keeper, describe
from firewall.requests import Connect
from firewall.verdict import Action, Verdict

WAITERS = (1, 16, 256)

type Done = Callable[[Exception | None], None]
type Append = Callable[[dict[str, Any], Done], None]
type Measured = tuple[float, list[float]]

_PROCESS = Process(4711, 1.5, "/usr/bin/python3", ("python3", "train.py"), 1000)
EVENT: dict[str, Any] = {
    "kind": "verdict",
    "request": {"type": "Connect", **describe(Connect("pypi.example", 443, protocol="tls"))},
    "verdict": describe(Verdict(Action.ALLOW, "package-indexes", "the rule allows it")),
    "actor": describe(Actor("bench", _PROCESS, (_PROCESS,))),
    "flow": {"bytes": 0},
}


@contextlib.contextmanager
def _log(folder: Path) -> Iterator[Append]:
    log = AuditLog(folder / "audit", "a")
    try:
        yield log.append
    finally:
        log.close()


@contextlib.contextmanager
def _signed(folder: Path) -> Iterator[Append]:
    with _log(folder) as append:
        keeper = Keeper(folder / "audit", folder / "authority", poll_seconds=0.1)
        keeper.start()
        try:
            yield append
        finally:
            keeper.close()


class _Queue:
    """Group commit around any `commit`: one thread takes what waits and answers it at once."""

    def __init__(self, commit: Callable[[list[str]], None]) -> None:
        self._commit = commit
        self._waiting: deque[tuple[str, Done]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def append(self, event: dict[str, Any], done: Done) -> None:
        with self._changed:
            self._waiting.append((json.dumps(event, separators=(",", ":")), done))
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                batch = [self._waiting.popleft() for _ in range(min(512, len(self._waiting)))]
            if not batch:
                return
            self._commit([line for line, _ in batch])
            for _, done in batch:
                done(None)


@contextlib.contextmanager
def _sqlite(folder: Path) -> Iterator[Append]:
    database = sqlite3.connect(folder / "log.sqlite", check_same_thread=False, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE log (line)"
    )

    def commit(lines: list[str]) -> None:
        database.execute("BEGIN")
        database.executemany("INSERT INTO log VALUES (?)", [(line,) for line in lines])
        database.execute("COMMIT")

    queue = _Queue(commit)
    try:
        yield queue.append
    finally:
        queue.close()
        database.close()


@contextlib.contextmanager
def _plain(folder: Path) -> Iterator[Append]:
    with (folder / "plain.json").open("a") as file:

        def commit(lines: list[str]) -> None:
            file.write("".join(line + "\n" for line in lines))
            file.flush()

        queue = _Queue(commit)
        try:
            yield queue.append
        finally:
            queue.close()


WRITERS = {"log": _log, "signed": _signed, "sqlite WAL/FULL": _sqlite, "plain JSON": _plain}


def measure(append: Append, waiters: int, seconds: float) -> Measured:
    """Records per second, and the seconds of each append."""
    took: list[float] = []
    ended = threading.Semaphore(0)
    until = time.perf_counter() + seconds

    def again(began: float) -> None:
        def done(error: Exception | None) -> None:
            assert error is None
            now = time.perf_counter()
            took.append(now - began)
            if now < until:
                again(now)
            else:
                ended.release()

        append(EVENT, done)

    started = time.perf_counter()
    for _ in range(waiters):
        again(time.perf_counter())
    for _ in range(waiters):
        ended.acquire()
    return len(took) / (time.perf_counter() - started), took


def _judging(folder: Path, name: str, waiters: int, seconds: float, start: Barrier) -> Measured:
    """What one of several processes manages that begin together."""
    log = AuditLog(folder / "audit", name)
    start.wait()
    try:
        return measure(log.append, waiters, seconds)
    finally:
        log.close()


def measure_processes(folder: Path, waiters: int, seconds: float, count: int) -> Measured:
    """The same for the log of `count` processes, whose chains are signed together."""
    keeper = Keeper(folder / "audit", folder / "authority", poll_seconds=0.1)
    keeper.start()
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(count) as pool:
        start = manager.Barrier(count)
        work = [(folder, f"gate-{n}", waiters // count, seconds, start) for n in range(count)]
        found = pool.starmap(_judging, work, chunksize=1)
    keeper.close()
    return sum(rate for rate, _ in found), [each for _, took in found for each in took]


def sync_seconds(folder: Path) -> float:
    """The median of one small write and fdatasync on this disk."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(bytes(700))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


class _Table:
    """Rates and latencies by writer and waiters, over the rounds."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, int], list[float]] = {}
        self._delays: dict[tuple[str, int], list[float]] = {}

    def add(self, name: str, waiters: int, measured: Measured) -> None:
        rate, took = measured
        self._rates.setdefault((name, waiters), []).append(rate)
        self._delays.setdefault((name, waiters), []).append(statistics.median(took))

    def show(self) -> None:
        print(f"{'':<20}  waiters  records/s  median ms")
        for (name, waiters), found in self._rates.items():
            delay = statistics.median(self._delays[name, waiters])
            print(
                f"{name:<20}  {waiters:>7}  {statistics.median(found):>9.0f}  {delay * 1e3:>9.2f}"
            )


def main(seconds: float = 1.0, rounds: int = 3, folder: Path | None = None) -> None:
    """Measure all writers and print what was found."""
    table, cores = _Table(), os.cpu_count() or 1
    with tempfile.TemporaryDirectory(dir=folder) as place:
        print(f"fdatasync of one record: {sync_seconds(Path(place)) * 1e3:.2f} ms")
        for number in range(rounds):
            for (name, writer), waiters in ((w, n) for n in WAITERS for w in WRITERS.items()):
                here = Path(place) / f"{number}-{waiters}-{name.split('/', maxsplit=1)[0]}"
                here.mkdir()
                with writer(here) as append:
                    table.add(name, waiters, measure(append, waiters, seconds))
            here = Path(place) / f"{number}-processes"
            found = measure_processes(here, WAITERS[-1], seconds, cores)
            table.add(f"signed, {cores} processes", WAITERS[-1], found)
    table.show()


if __name__ == "__main__":
    main(*(kind(each) for kind, each in zip((float, int, Path), sys.argv[1:], strict=False)))
