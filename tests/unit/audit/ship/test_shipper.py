"""The loop: nothing is skipped, nothing moves before it is acknowledged, everything is told."""

import json
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from firewall.audit import AuditLog
from firewall.audit.cursor import Cursor, Mark
from firewall.audit.segments import segments
from firewall.audit.ship import Item, NotTakenError, Outcome, Shipper, Sink
from tests.unit.audit.ship.far import Far
from tests.unit.audit.signing import append, signed_log
from tests.waiting import eventually


@contextmanager
def shipping(directory: Path, sink: Sink) -> Iterator[tuple[Shipper, threading.Event]]:
    cursor, stop = Cursor(directory, "x"), threading.Event()
    try:
        yield (
            Shipper(directory, cursor, sink, stop, poll_seconds=0.005, backoff_seconds=0.001),
            stop,
        )
    finally:
        cursor.close()


def once(directory: Path, sink: Sink) -> tuple[Outcome, Shipper]:
    with shipping(directory, sink) as (shipper, _):
        return shipper.run(once=True), shipper


def failing(times: int, error: Exception) -> Callable[[Sequence[Item]], int]:
    left = [error] * times

    def before(items: Sequence[Item]) -> int:
        if left:
            raise left.pop()
        return 0

    return before


@pytest.fixture
def log(tmp_path: Path) -> Path:
    signed_log(tmp_path, rounds=6)
    return tmp_path / "audit"


def test_all_chains_and_then_what_signs_them(log: Path) -> None:
    far = Far()
    outcome, shipper = once(log, far)
    assert outcome is Outcome.SHIPPED
    assert far.ids("a") == far.ids("b") == [1, 2, 3, 4, 5]
    assert far.ids("checkpoints") == [1, 2, 3, 4, 5, 6, 7]
    assert [item.chain for item in far.items[-7:]] == ["checkpoints"] * 7
    assert shipper.progress.records == 17
    assert shipper.progress.oldest is None


def test_nothing_is_sent_twice(log: Path) -> None:
    once(log, Far())
    again = Far()
    assert once(log, again)[0] is Outcome.SHIPPED
    assert again.items == []


@pytest.mark.parametrize("error", [NotTakenError("busy"), ConnectionResetError("gone")])
def test_it_goes_on_after_failures(log: Path, error: Exception) -> None:
    far = Far(failing(3, error))
    outcome, shipper = once(log, far)
    assert outcome is Outcome.SHIPPED
    assert far.ids("a") == [1, 2, 3, 4, 5]
    assert shipper.progress.errors == 3


def test_once_gives_up_and_the_next_goes_on(log: Path) -> None:
    outcome, shipper = once(log, Far(failing(99, NotTakenError("away"))))
    assert outcome is Outcome.UNREACHED
    assert shipper.progress.oldest is not None
    assert sum(count for count, _ in shipper.progress.backlog.values()) == 5
    far = Far()
    assert once(log, far)[0] is Outcome.SHIPPED
    assert far.ids("a") == [1, 2, 3, 4, 5]


def test_it_waits_as_long_as_it_is_asked_to(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    far = Far(failing(1, NotTakenError("busy", after=7.0)))
    with shipping(log, far) as (shipper, stop):
        monkeypatch.setattr(stop, "wait", waits.append)
        shipper.run(once=True)
    assert len(waits) == 1
    assert 7.0 <= waits[0] <= 7.1


def test_what_is_refused_for_good_is_told(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    far = Far(lambda items: 1)
    outcome, shipper = once(log, far)
    assert outcome is Outcome.INCOMPLETE
    assert shipper.progress.refused == 3
    assert "refused 1 records for good" in caplog.text


def test_a_chain_that_does_not_hold_stops_alone(
    log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = segments(log / "a")[-1]
    path.write_bytes(path.read_bytes().replace(b"log.closed", b"log.close!"))
    far = Far()
    outcome, shipper = once(log, far)
    assert outcome is Outcome.DAMAGED
    assert shipper.progress.damaged == {"a"}
    assert far.ids("b") == [1, 2, 3, 4, 5]
    assert "a is not shipped:" in caplog.text


def test_records_removed_before_they_were_shipped_are_told(
    log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cursor = Cursor(log, "x")
    with (log / "a/00000000000000000001.log").open("rb") as file:
        cursor.advance("a", Mark(1, json.loads(file.readline())["hash"]))
    cursor.close()
    second = segments(log / "a")[1]
    (log / "a/00000000000000000001.log").unlink()
    outcome, shipper = once(log, Far())
    assert outcome is Outcome.INCOMPLETE
    assert shipper.progress.lost == int(second.stem) - 2
    assert "removed before they were shipped" in caplog.text


def test_new_records_and_new_chains_follow(tmp_path: Path) -> None:
    far = Far()
    first = AuditLog(tmp_path, "a")
    with shipping(tmp_path, far) as (shipper, stop):
        thread = threading.Thread(target=shipper.run)
        thread.start()
        append(first, 1)
        eventually(lambda: far.ids("a") == [1, 2])
        second = AuditLog(tmp_path, "b")
        append(second, 1)
        eventually(lambda: far.ids("b") == [1, 2])
        stop.set()
        thread.join()
    first.close()
    second.close()


class Killed(BaseException):
    """The process ends here, at whatever point."""


def test_killed_at_any_point_it_ships_all_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrives twice is a run that arrived before: dropping known (chain, seq) mends it."""
    signed_log(tmp_path, rounds=40)
    monkeypatch.setattr("firewall.audit.ship.tail.BATCH_RECORDS", 3)
    chance, real = random.Random(7), os.fsync

    def deadly(*_: object) -> int:
        if chance.random() < 0.12:
            raise Killed
        return 0

    def sync(descriptor: int) -> None:
        deadly()
        real(descriptor)
        deadly()

    far = Far(deadly)
    kills, outcome = 0, None
    while outcome is not Outcome.SHIPPED:
        monkeypatch.setattr(os, "fsync", sync)
        try:
            outcome = once(tmp_path / "audit", far)[0]
        except Killed:
            kills += 1
        monkeypatch.setattr(os, "fsync", real)
    assert kills > 5
    for chain, count in (("a", 22), ("b", 22), ("checkpoints", 41)):
        ids = far.ids(chain)
        fresh = [seq for place, seq in enumerate(ids) if seq not in ids[:place]]
        assert fresh == list(range(1, count + 1))
        assert all(after <= max(ids[: place + 1]) + 1 for place, after in enumerate(ids[1:]))
