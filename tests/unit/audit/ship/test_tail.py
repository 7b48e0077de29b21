"""What is shipped: acknowledged records as they were written, and nothing that does not hold."""

import json
import os
import zlib
from pathlib import Path

import pytest

from firewall.audit import AuditError, AuditLog
from firewall.audit.archive import compress
from firewall.audit.cursor import Mark
from firewall.audit.segments import segments
from firewall.audit.ship.tail import Checkpoints, Item, Records
from tests.unit.audit.signing import append, signed_log


def filled(directory: Path, count: int, segment_limit: int = 900) -> Path:
    log = AuditLog(directory, "a", segment_limit=segment_limit)
    for number in range(count):
        append(log, number)
    log.close()
    return directory / "a"


def all_of(tail: Records | Checkpoints, mark: Mark | None = None) -> list[Item]:
    mark, found = mark or Mark(), []
    while items := tail.take(mark):
        found += items
        mark = items[-1].mark
    tail.close()
    return found


class TestRecords:
    def test_every_line_as_written_over_all_segments(self, tmp_path: Path) -> None:
        folder = filled(tmp_path, 8)
        assert len(segments(folder)) > 3
        written = b"".join(path.read_bytes() for path in segments(folder))
        compress(segments(folder)[0])
        items = all_of(Records(folder))
        assert b"".join(item.line for item in items) == written
        assert [item.seq for item in items] == list(range(1, 11))

    @pytest.mark.parametrize("after", range(10))
    def test_it_goes_on_after_any_record(self, tmp_path: Path, after: int) -> None:
        folder = filled(tmp_path, 8)
        items = all_of(Records(folder))
        rest = all_of(Records(folder), items[after - 1].mark if after else Mark())
        assert rest == items[after:]

    def test_a_batch_that_was_not_taken_comes_again(self, tmp_path: Path) -> None:
        tail = Records(filled(tmp_path, 3))
        assert tail.take(Mark()) == tail.take(Mark())
        tail.close()

    def test_a_line_that_is_not_acknowledged_is_not_shipped(self, tmp_path: Path) -> None:
        """It may be cut off again, so it must not be somewhere else by then."""
        folder = filled(tmp_path, 3, 1 << 20)
        lines = segments(folder)[0].read_bytes().splitlines(keepends=True)
        records = Records(folder)
        items = all_of(records)
        seal = items[2]
        body = f"{seal.seq:020d} {seal.hash} ".encode()
        (folder / "head").write_bytes(body + b"%08x\n" % zlib.crc32(body))
        assert [item.line for item in all_of(Records(folder))] == lines[:3]

    def test_what_was_read_ahead_and_cut_off_is_read_anew(self, tmp_path: Path) -> None:
        log = AuditLog(tmp_path, "a")
        append(log, 1)
        tail = Records(tmp_path / "a")
        (path,) = segments(tmp_path / "a")
        with path.open("ab") as file:
            file.write(b'{"half":"a li')
        mark = tail.take(Mark())[-1].mark
        os.truncate(path, path.stat().st_size - 13)
        append(log, 2)
        (item,) = tail.take(mark)
        assert json.loads(item.line)["n"] == 2
        tail.close()
        log.close()

    def test_a_changed_record_ends_it(self, tmp_path: Path) -> None:
        folder = filled(tmp_path, 5, 1 << 20)
        (path,) = segments(folder)
        lines = path.read_bytes().splitlines(keepends=True)
        lines[3] = lines[3].replace(b'"n":2', b'"n":9')
        path.write_bytes(b"".join(lines))
        with pytest.raises(AuditError, match=r"\.log:4: no record stands here"):
            all_of(Records(folder))

    def test_another_log_in_its_place_is_noticed(self, tmp_path: Path) -> None:
        mark = all_of(Records(filled(tmp_path / "one", 5)))[-1].mark
        other = filled(tmp_path / "two", 7, 1 << 20)
        with pytest.raises(AuditError, match="record 7 is not the one that was shipped") as refusal:
            Records(other).take(mark)
        assert f"firewall audit verify --log {other.parent}`" in str(refusal.value)
        with pytest.raises(AuditError, match="ends at record 4, but record 7 was shipped"):
            Records(filled(tmp_path / "three", 2)).take(mark)

    def test_removed_segments_are_counted(self, tmp_path: Path) -> None:
        folder = filled(tmp_path, 8)
        items = all_of(Records(folder))
        first, second, third, *_ = segments(folder)
        second.unlink()
        first.unlink()
        tail = Records(folder)
        start = int(third.stem)
        assert [item.seq for item in tail.take(items[0].mark)] == list(range(start, 11))
        assert tail.lost == start - 2
        tail.close()
        fresh = Records(folder)
        assert fresh.take(Mark())[0].seq == start
        assert fresh.lost == 0
        fresh.close()

    def test_the_backlog(self, tmp_path: Path) -> None:
        folder = filled(tmp_path, 8)
        tail = Records(folder)
        size = sum(path.stat().st_size for path in segments(folder))
        assert tail.backlog(Mark()) == (10, size)
        items = tail.take(Mark())
        assert tail.backlog(items[-1].mark) == (0, 0)
        tail.close()


class TestCheckpoints:
    def test_all_of_them(self, tmp_path: Path) -> None:
        signed_log(tmp_path, rounds=5)
        tail = Checkpoints(tmp_path / "audit")
        items = all_of(tail)
        assert [item.seq for item in items] == [1, 2, 3, 4, 5, 6]
        assert items[0].members()["kind"] == "checkpoint"
        assert all_of(tail, items[3].mark) == items[4:]
        assert tail.backlog(items[3].mark)[0] == 2

    def test_a_changed_one_ends_it(self, tmp_path: Path) -> None:
        signed_log(tmp_path, rounds=2)
        (path,) = (tmp_path / "audit/checkpoints").glob("*.notes")
        path.write_bytes(path.read_bytes().replace(b"statement", b"stat3ment", 1))
        with pytest.raises(AuditError, match="this is no checkpoint"):
            all_of(Checkpoints(tmp_path / "audit"))
