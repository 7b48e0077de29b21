"""Whatever is done to a log afterwards is found, and told with its place."""

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from firewall.audit import AuditLog, verify
from firewall.audit.record import check
from tests.waiting import PATIENCE


def write(directory: Path, count: int = 3, segment_limit: int = 1 << 20) -> Path:
    """A closed log of `count` events; returns the chain's folder."""
    log = AuditLog(directory, "gate", segment_limit=segment_limit)
    for number in range(count):
        append(log, number)
    log.close()
    return directory / "gate"


def append(log: AuditLog, number: int) -> None:
    written = threading.Event()
    log.append({"kind": "verdict", "n": number}, lambda error: written.set())
    assert written.wait(PATIENCE)


def only(folder: Path) -> Path:
    (path,) = folder.glob("*.log")
    return path


def test_a_closed_log_is_intact(tmp_path: Path) -> None:
    write(tmp_path)
    report = verify(tmp_path)
    (chain,) = report.chains
    assert (report.status, chain.chain, chain.records, chain.closed) == ("intact", "gate", 5, True)


def test_a_log_without_its_end_is_intact_but_not_closed(tmp_path: Path) -> None:
    path = only(write(tmp_path))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    (chain,) = verify(tmp_path).chains
    assert (chain.status, chain.closed) == ("intact", False)


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    path = only(write(tmp_path, count=2))
    good = path.read_bytes()
    line_of = [good[:place].count(b"\n") + 1 for place in range(len(good))]
    for place in range(len(good)):
        for flip in (0x01, 0x80, good[place]):
            changed = bytearray(good)
            changed[place] ^= flip
            path.write_bytes(changed)
            report = verify(tmp_path)
            (chain,) = report.chains
            assert report.status in ("tampered", "torn"), f"byte {place}"
            assert chain.where == f"{path}:{line_of[place]}"
            # Only the end can look like a crash: an unfinished last line, or zeros in one.
            last = line_of[place] == line_of[-1]
            assert report.status == "tampered" or last


def test_truncated_at_each_byte(tmp_path: Path) -> None:
    path = only(write(tmp_path, count=1))
    good = path.read_bytes()
    for length in range(1, len(good)):
        path.write_bytes(good[:length])
        whole = good[:length].count(b"\n")
        (chain,) = verify(tmp_path).chains
        assert chain.status == ("intact" if good[:length].endswith(b"\n") else "torn")
        assert chain.records == whole


@pytest.mark.parametrize(
    ("order", "place", "why"),
    [
        ([0, 2, 3, 4], 2, "record 3 stands where record 2 belongs"),
        ([0, 1, 3, 2, 4], 3, "record 4 stands where record 3 belongs"),
        ([0, 1, 1, 2, 3, 4], 3, "record 2 stands where record 3 belongs"),
        ([1, 2, 3, 4], 1, "record 2 stands where record 1 belongs"),
        ([4, 3, 2, 1, 0], 1, "record 5 stands where record 1 belongs"),
    ],
)
def test_moved_lines(tmp_path: Path, order: list[int], place: int, why: str) -> None:
    path = only(write(tmp_path))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[each] for each in order))
    (chain,) = verify(tmp_path).chains
    assert (chain.status, chain.where, chain.why) == ("tampered", f"{path}:{place}", why)


def forge(line: bytes, old: bytes, new: bytes) -> bytes:
    """A changed line with a hash that fits it."""
    body = line[: line.rindex(b',"hash":')].replace(old, new)
    return body + b',"hash":"%b"}\n' % hashlib.sha256(b"\0" + body).hexdigest().encode()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"n":0', b'"n":9', "record 3 does not follow from the one before"),
        (b'"chain":"gate"', b'"chain":"other"', "the record belongs to chain 'other'"),
        (b'"n":0', b'"n":0,"seq":2', "a member is named twice"),
        (b'"n":0', b'"n":', "the record is not JSON"),
    ],
)
def test_forged_lines_with_a_fitting_hash(tmp_path: Path, old: bytes, new: bytes, why: str) -> None:
    path = only(write(tmp_path))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = forge(lines[1], old, new)
    assert check(lines[1]) is not None
    path.write_bytes(b"".join(lines))
    (chain,) = verify(tmp_path).chains
    assert chain.status == "tampered"
    assert why in chain.why


class TestSegments:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write(tmp_path, count=6, segment_limit=1)

    def test_whole_they_are_intact(self, folder: Path) -> None:
        assert len(list(folder.glob("*.log"))) > 3
        assert verify(folder.parent).status == "intact"

    @pytest.mark.parametrize("gone", [0, 1, 2])
    def test_a_removed_one_is_missing(self, folder: Path, gone: int) -> None:
        files = sorted(folder.glob("*.log"))
        files[gone].unlink()
        (chain,) = verify(folder.parent).chains
        assert (chain.status, chain.where) == ("missing", f"{files[gone + 1]}:1")
        assert "are missing" in chain.why

    def test_swapped_ones_are_found(self, folder: Path) -> None:
        first, second, *_ = sorted(folder.glob("*.log"))
        one, two = first.read_bytes(), second.read_bytes()
        first.write_bytes(two)
        second.write_bytes(one)
        assert verify(folder.parent).status == "tampered"

    def test_a_copy_under_another_name_is_found(self, folder: Path) -> None:
        *_, last = sorted(folder.glob("*.log"))
        shutil.copy(last, folder / f"{int(last.stem) + 1:020d}.log")
        (chain,) = verify(folder.parent).chains
        assert chain.status in ("missing", "tampered")

    def test_a_torn_line_before_the_last_segment_is_no_crash(self, folder: Path) -> None:
        first, *_ = sorted(folder.glob("*.log"))
        os.truncate(first, first.stat().st_size - 1)
        assert verify(folder.parent).status == "tampered"

    def test_an_overlapping_name_is_found(self, folder: Path) -> None:
        first, second, *_ = sorted(folder.glob("*.log"))
        first.write_bytes(first.read_bytes() + second.read_bytes())
        (chain,) = verify(folder.parent).chains
        assert (chain.status, chain.where) == ("tampered", f"{second}:1")


def test_the_worst_chain_decides(tmp_path: Path) -> None:
    path = only(write(tmp_path))
    AuditLog(tmp_path, "depth").close()
    assert verify(tmp_path).status == "intact"
    path.write_bytes(path.read_bytes()[:-1])
    assert {each.chain: each.status for each in verify(tmp_path).chains} == {
        "depth": "intact",
        "gate": "torn",
    }
    assert verify(tmp_path).status == "torn"


def test_a_renamed_chain_is_found(tmp_path: Path) -> None:
    write(tmp_path).rename(tmp_path / "other")
    (chain,) = verify(tmp_path).chains
    assert (chain.status, chain.why) == ("tampered", "the record belongs to chain 'gate'")


def test_no_log_is_no_intact_log(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no audit log here"):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "nowhere")


def test_the_format_is_as_described(tmp_path: Path) -> None:
    """A third reading of the format, in as few words as it takes."""
    prev = "0" * 64
    for line in only(write(tmp_path)).read_bytes().splitlines():
        record = json.loads(line)
        assert record["prev"] == prev
        body = line.split(b',"hash":"')[0]
        prev = hashlib.sha256(b"\0" + body).hexdigest()
        assert record["hash"] == prev
