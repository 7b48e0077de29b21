"""What is cut, forked, unsigned, late or out of time is found, and told as what it is."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firewall.audit import AuditLog, Key, read_seen, verify
from firewall.audit import checkpoint as notes
from firewall.audit.record import Stamp, boot_id
from firewall.audit.signer import Signer
from firewall.audit.storage import Disk
from tests.unit.audit.signing import append, signed_log, signer


@pytest.fixture
def log(tmp_path: Path) -> tuple[Path, Key]:
    return tmp_path / "audit", signed_log(tmp_path)


def copied(directory: Path, name: str) -> Path:
    """The log's checkpoints as a second place has them."""
    copy = directory.parent / name
    copy.write_bytes(b"".join(path.read_bytes() for path in notes.files(directory)))
    return copy


def drop_last_checkpoint(directory: Path) -> None:
    path = notes.files(directory)[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    if len(lines) == 1:
        path.unlink()


def test_a_cut_against_a_copy(log: tuple[Path, Key]) -> None:
    directory, key = log
    copy = copied(directory, "copy")
    assert verify(directory, key, read_seen(copy)).status == "intact"
    drop_last_checkpoint(directory)
    assert verify(directory, key).status == "intact"
    report = verify(directory, key, read_seen(copy))
    assert report.status == report.checkpoints.status == "truncated"
    assert report.checkpoints.why == "the log ends at checkpoint 3, but checkpoint 4 was signed"
    assert report.checkpoints.where == f"{copy}:4"


def test_a_single_note_is_a_copy_too(log: tuple[Path, Key]) -> None:
    directory, key = log
    newest = notes.newest(directory)
    assert newest is not None
    copy = directory.parent / "note"
    copy.write_text(newest.note)
    assert verify(directory, key, read_seen(copy)).status == "intact"
    drop_last_checkpoint(directory)
    assert verify(directory, key, read_seen(copy)).status == "truncated"


def test_a_history_written_anew(tmp_path: Path, log: tuple[Path, Key]) -> None:
    directory, key = log
    copy = read_seen(copied(directory, "copy"))
    directory.rename(tmp_path / "old")
    signed_log(tmp_path)
    assert verify(directory, key).status == "intact"
    report = verify(directory, key, copy)
    assert report.checkpoints.status == "tampered"
    assert report.checkpoints.why == "checkpoint 1 was another when it was kept"


def test_a_copy_that_the_key_did_not_sign(tmp_path: Path, log: tuple[Path, Key]) -> None:
    directory, key = log
    signed_log(tmp_path / "other")
    copy = read_seen(copied(tmp_path / "other/audit", "copy"))
    assert verify(directory, key, copy).checkpoints.status == "unsigned"


def test_what_is_no_copy(tmp_path: Path) -> None:
    for text in ("", "{}\n", "a note?\n"):
        (tmp_path / "copy").write_text(text)
        with pytest.raises(ValueError, match=r"no checkpoint|no signed note"):
            read_seen(tmp_path / "copy")


def test_records_cut_below_their_checkpoint(log: tuple[Path, Key]) -> None:
    directory, key = log
    path = max((directory / "a").glob("*.log"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    (chain, _) = verify(directory, key).chains
    assert chain.status == "truncated"
    assert chain.why == "the chain ends at record 3, but checkpoint 4 signed 4"


def test_missing_checkpoints(log: tuple[Path, Key]) -> None:
    directory, key = log
    path = notes.files(directory)[0]
    first, _, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + third)
    found = verify(directory, key).checkpoints
    assert (found.status, found.where) == ("gap", f"{path}:2")
    assert found.why == "checkpoints 2 to 2 are missing"
    path.unlink()
    assert verify(directory, key).checkpoints.status == "gap"


def test_no_key_no_judgement_of_signatures(log: tuple[Path, Key]) -> None:
    directory, _ = log
    report = verify(directory)
    assert (report.status, report.checkpoints.key) == ("intact", None)


def test_never_signed(tmp_path: Path, log: tuple[Path, Key]) -> None:
    AuditLog(tmp_path / "new", "a").close()
    assert verify(tmp_path / "new").status == "intact"
    found = verify(tmp_path / "new", log[1]).checkpoints
    assert (found.status, found.count) == ("unsigned", 0)


def stamped(root: Path, *times: tuple[int, int]) -> None:
    """A log whose checkpoints are of these times (wall, monotonic; seconds)."""
    AuditLog(root / "audit", "a").close()
    clock = iter(times)

    def stamp() -> Stamp:
        wall, moment = next(clock)
        return Stamp(wall * 10**9, moment * 10**9)

    writer = Signer(root / "audit", root / "authority", Disk(), boot_id(), stamp)
    for _ in times:
        writer.sign()
    writer.close()


@pytest.mark.parametrize(
    ("times", "status"),
    [
        ([(100, 1), (110, 11)], "intact"),
        ([(100, 1), (99, 11)], "intact"),
        ([(100, 1), (90, 11)], "backwards"),
        ([(100, 11), (110, 1)], "backwards"),
    ],
)
def test_times_of_checkpoints(tmp_path: Path, times: list[tuple[int, int]], status: str) -> None:
    stamped(tmp_path, *times)
    found = verify(tmp_path / "audit").checkpoints
    assert found.status == status
    assert status == "intact" or "checkpoint 2 is of" in found.why


def test_times_of_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path, "a")
    now = Stamp.now()
    hour = 3600 * 10**9
    monkeypatch.setattr(Stamp, "now", lambda: now._replace(wall_ns=now.wall_ns - hour))
    append(log, 1)
    monkeypatch.undo()
    log.close()
    (chain,) = verify(tmp_path).chains
    assert (chain.status, chain.records) == ("backwards", 3)
    assert chain.why.startswith("record 2 is of ")


def test_a_stretch_without_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["firewall.audit.verify"], "GRACE_NS", 0)
    log = AuditLog(tmp_path / "audit", "a")
    append(log, 1)
    writer = signer(tmp_path)
    writer.sign()
    append(log, 2)
    append(log, 3)
    log.close()
    writer.close()
    (chain,) = verify(tmp_path / "audit").chains
    assert (chain.status, chain.records) == ("gap", 5)
    assert chain.why.startswith("no checkpoint was signed in time")
    monkeypatch.undo()
    assert verify(tmp_path / "audit").status == "intact"


def damage_note(text: bytes) -> bytes:
    return text.replace(b"\\n\\n\\u2014 ", b"\\n\\n\\u2014 x", 1)


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        (damage_note, "unsigned", "it is not signed by the key"),
        (lambda text: text.replace(b'"before":[]', b'"before":["00"]', 1), "tampered", "tree"),
        (lambda text: text.replace(b'\\"seq\\":', b'\\"sea\\":', 1), "tampered", "no checkpoint"),
        (lambda text: text.replace(b"\\n1\\n", b"\\n2\\n", 1), "tampered", "another statement"),
    ],
)
def test_changed_checkpoints(
    log: tuple[Path, Key], change: Callable[[bytes], bytes], status: str, why: str
) -> None:
    directory, key = log
    path = notes.files(directory)[0]
    changed = change(path.read_bytes())
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    found = verify(directory, key).checkpoints
    assert (found.status, found.where) == (status, f"{path}:1")
    assert why in found.why
