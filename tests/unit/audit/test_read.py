"""Records come back in the order of time, from all chains, also while they are written."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firewall.audit import AuditLog, find, heads, last, read
from tests.waiting import PATIENCE


def append(log: AuditLog, **event: Any) -> None:
    done = threading.Event()
    log.append({"kind": "verdict", **event}, lambda error: done.set())
    assert done.wait(PATIENCE)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[AuditLog, AuditLog]]:
    logs = AuditLog(tmp_path, "gate", segment_limit=1500), AuditLog(tmp_path, "depth")
    yield logs
    for log in logs:
        log.close()


def numbers(records: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> list[int]:
    return [record["n"] for record in records if "n" in record]


def test_chains_are_merged_by_time(tmp_path: Path, two: tuple[AuditLog, AuditLog]) -> None:
    for number in range(20):
        append(two[number % 2], n=number)
    assert numbers(read(tmp_path)) == list(range(20))


def test_after_leaves_out_what_is_known(tmp_path: Path, two: tuple[AuditLog, AuditLog]) -> None:
    for number in range(20):
        append(two[0], n=number)
    assert numbers(read(tmp_path, after={"gate": 16})) == [15, 16, 17, 18, 19]


def test_last_reaches_back_over_segments(tmp_path: Path, two: tuple[AuditLog, AuditLog]) -> None:
    for number in range(20):
        append(two[number % 2], n=number)
    assert len(list((tmp_path / "gate").glob("*.log"))) > 2
    assert numbers(last(tmp_path, 15)) == list(range(5, 20))
    assert last(tmp_path, 0) == []


def test_heads_and_find(tmp_path: Path, two: tuple[AuditLog, AuditLog]) -> None:
    for number in range(10):
        append(two[0], n=number)
    assert heads(tmp_path) == {"gate": 11, "depth": 1}
    found = find(tmp_path, "gate", 7)
    assert found is not None
    assert found["n"] == 5
    assert find(tmp_path, "gate", 12) is None
    assert find(tmp_path, "../gate", 1) is None


def test_follow_tells_what_is_written_later(tmp_path: Path, two: tuple[AuditLog, AuditLog]) -> None:
    append(two[0], n=0)
    following = (record for record in read(tmp_path, follow=True) if "n" in record)
    assert next(following)["n"] == 0
    third = AuditLog(tmp_path, "third")
    for number in range(1, 10):
        append((*two, third)[number % 3], n=number)
        assert next(following)["n"] == number
    third.close()
    following.close()


def test_half_a_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "gate")
    log.close()
    (path,) = (tmp_path / "gate").glob("*.log")
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    following = read(tmp_path, follow=True)
    assert next(following)["kind"] == "log.opened"
    path.write_bytes(data)
    assert next(following)["kind"] == "log.closed"


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b'{"kind":"x"}\n', b"[" * 5000 + b"\n"])
def test_what_cannot_be_read_is_told_in_its_place(tmp_path: Path, line: bytes) -> None:
    log = AuditLog(tmp_path, "gate")
    log.close()
    (path,) = (tmp_path / "gate").glob("*.log")
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + line + second)
    records = list(read(tmp_path))
    assert [record["kind"] for record in records] == ["log.opened", "log.unreadable", "log.closed"]
    assert (records[1]["file"], records[1]["line"]) == (str(path), 2)


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read(tmp_path / "nowhere"))
