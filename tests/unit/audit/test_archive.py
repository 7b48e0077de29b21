"""Old segments shrink and go, and the log stays one that verifies."""

import os
import sys
import time
from pathlib import Path

import pytest

from firewall.audit import AuditError, AuditLog, Keep, Keeper, find, keys, last, read, verify
from firewall.audit.archive import compress, compress_next, kept_from, sealed, surplus
from firewall.audit.checkpoint import Head
from firewall.audit.cursor import Cursor, Mark
from firewall.audit.keeper import Pace
from firewall.audit.segments import segments
from tests.unit.audit.signing import append, signer
from tests.unit.deploy.test_verify_audit import SOURCE
from tests.waiting import eventually

COUNT = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A chain of many segments."""
    log = AuditLog(tmp_path / "audit", "a", segment_limit=1)
    for number in range(COUNT):
        append(log, number)
    log.close()
    return tmp_path / "audit/a"


def numbers(directory: Path) -> list[int]:
    return [record["seq"] for record in read(directory)]


def independently(directory: Path, key: str) -> int:
    import subprocess

    return subprocess.run([sys.executable, SOURCE, directory, key], check=False).returncode


class TestCompression:
    def test_all_sealed_segments_one_after_the_other(self, folder: Path) -> None:
        before = numbers(folder.parent)
        done = []
        while (path := compress_next(folder.parent)) is not None:
            done.append(path)
        assert [each.suffix for each in segments(folder)[:-2]] == [".zst"] * len(done)
        assert [each.suffix for each in segments(folder)[-2:]] == [".log"] * 2
        assert all(each.stat().st_mode & 0o777 == 0o600 for each in done)
        assert numbers(folder.parent) == before
        assert [each["seq"] for each in last(folder.parent, COUNT)] == before[-COUNT:]
        assert (find(folder.parent, "a", 3) or {})["seq"] == 3
        assert verify(folder.parent).status == "intact"
        assert independently(folder.parent, "") == 0
        AuditLog(folder.parent, "a").close()

    def test_a_crash_between_leaves_both_and_harms_nothing(self, folder: Path) -> None:
        path = segments(folder)[0]
        whole = path.read_bytes()
        compress(path)
        path.write_bytes(whole)
        assert segments(folder)[0] == path
        assert verify(folder.parent).status == "intact"
        assert compress_next(folder.parent) == path.with_suffix(".log.zst")
        assert not path.exists()

    def test_a_damaged_one_is_found(self, folder: Path) -> None:
        packed = compress(segments(folder)[0])
        data = bytearray(packed.read_bytes())
        for place in range(0, len(data), 13):
            changed = bytearray(data)
            changed[place] ^= 0x55
            packed.write_bytes(changed)
            assert verify(folder.parent).status in ("tampered", "missing"), place
            assert independently(folder.parent, "") == 1 or place > 30


class TestWhatIsNotShipped:
    """Kept beyond what was asked for, but not without end."""

    KEPT = Keep(size=1, seconds=1)

    def surplus(self, folder: Path) -> list[Path]:
        heads = {"a": Head(COUNT + 2, "")}
        return surplus(folder.parent, self.KEPT, heads).get("a", [])

    def test_it_stays_until_every_exporter_has_shipped_it(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("firewall.audit.archive.HELD", 1 << 30)
        gone = self.surplus(folder)
        assert len(gone) > 3
        cursors = [Cursor(folder.parent, name) for name in ("one", "two")]
        assert self.surplus(folder) == []
        first, second, third, *_ = segments(folder)
        cursors[0].advance("a", Mark(COUNT, ""))
        cursors[1].advance("a", Mark(int(third.stem) - 1, ""))
        assert self.surplus(folder) == [first, second]
        cursors[1].advance("a", Mark(int(third.stem), ""))
        assert first in self.surplus(folder)
        for cursor in cursors:
            cursor.close()
        (folder.parent / "ship/two.json").unlink()
        (folder.parent / "ship/one.json").unlink()
        assert self.surplus(folder) == gone

    def test_it_goes_loudly_when_it_would_fill_the_disk(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        gone = self.surplus(folder)
        Cursor(folder.parent, "siem").close()
        assert self.surplus(folder) == gone
        assert f"{gone[0]} is removed though siem has not shipped it" in caplog.text


class TestRetention:
    def test_by_size(self, folder: Path) -> None:
        size = sum(path.stat().st_size for path in segments(folder))
        writer = signer(folder.parents[1])
        writer.sign()
        assert writer.last is not None
        heads = writer.last.heads
        assert surplus(folder.parent, Keep(size=size), heads) == {}
        assert surplus(folder.parent, Keep(size=size - 1), heads) == {"a": segments(folder)[:1]}
        assert surplus(folder.parent, Keep(size=0), heads) == {"a": sealed(folder)}
        writer.close()

    def test_by_age(self, folder: Path) -> None:
        writer = signer(folder.parents[1])
        writer.sign()
        assert writer.last is not None
        for path in segments(folder)[:3]:
            os.utime(path, (time.time() - 100, time.time() - 100))
        heads = writer.last.heads
        writer.close()
        assert surplus(folder.parent, Keep(seconds=50), heads) == {"a": segments(folder)[:3]}

    def test_what_is_not_signed_stays(self, folder: Path) -> None:
        assert surplus(folder.parent, Keep(size=0), {}) == {}

    def test_what_was_given_up_is_told_from_what_was_taken(self, folder: Path) -> None:
        root = folder.parents[1]
        writer = signer(root)
        writer.sign()
        gone = segments(folder)[:3]
        writer.sign({"a": kept_from(gone)})
        writer.close()
        key = keys.load(root / "authority").public
        for path in gone:
            assert verify(folder.parent, key).status == "intact"
            assert independently(folder.parent, str(key)) == 0
            path.unlink()
        assert verify(folder.parent, key).status == "intact"
        assert independently(folder.parent, str(key)) == 0
        segments(folder)[0].unlink()
        assert verify(folder.parent, key).status == "missing"
        assert independently(folder.parent, str(key)) == 1

    def test_nothing_is_given_up_before_a_damaged_record(self, folder: Path) -> None:
        files = segments(folder)
        files[1].write_bytes(b"nothing\n")
        with pytest.raises(AuditError, match="nothing before it is removed"):
            kept_from(files[:1])

    def test_the_keeper_does_it_all(self, folder: Path) -> None:
        root = folder.parents[1]
        pace = Pace(records=1, seconds=0.0, idle_seconds=0.0)
        keeper = Keeper(
            root / "audit", root / "authority", pace=pace, keep=Keep(size=0), poll_seconds=0.001
        )
        keeper.start()
        eventually(lambda: len(segments(folder)) == 2)
        keeper.close()
        assert keeper.state == "ok"
        key = keys.load(root / "authority").public
        assert verify(folder.parent, key).status == "intact"
        log = AuditLog(folder.parent, "a")
        append(log, 1)
        log.close()
        assert verify(folder.parent, key).status == "intact"


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("90d", Keep(None, 90 * 86400)),
        ("12h", Keep(None, 12 * 3600)),
        ("10GB, 1d", Keep(10**10, 86400)),
        ("5MB", Keep(5 * 10**6, None)),
    ],
)
def test_how_much_to_keep(text: str, keep: Keep) -> None:
    assert Keep.parse(text) == keep


@pytest.mark.parametrize("text", ["", "90", "d", "90 days", "1d;2GB"])
def test_how_not_to_say_it(text: str) -> None:
    with pytest.raises(ValueError, match="write how much to keep as 90d"):
        Keep.parse(text)
