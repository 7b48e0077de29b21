"""Checkpoints are durable, follow one another, and survive whoever signed them."""

import errno
import os
from pathlib import Path

import pytest

from firewall.audit import AuditBusy, AuditError, AuditLog, keys, verify
from firewall.audit import checkpoint as notes
from firewall.audit.head import read_head
from tests.unit.audit.signing import append, signed_log, signer
from tests.unit.audit.test_log import FaultyDisk


def test_all_chains_are_signed_as_one_log(tmp_path: Path) -> None:
    key = signed_log(tmp_path)
    report = verify(tmp_path / "audit", key)
    assert report.status == "intact"
    assert [(each.chain, each.records, each.signed) for each in report.chains] == [
        ("a", 4, 4),
        ("b", 3, 3),
    ]
    assert report.checkpoints.count == 4
    assert len(notes.files(tmp_path / "audit")) == 2
    for file in notes.files(tmp_path / "audit"):
        assert file.stat().st_mode & 0o777 == 0o600


def test_only_what_is_acknowledged_is_signed(tmp_path: Path) -> None:
    disk = FaultyDisk()
    log = AuditLog(tmp_path / "audit", "a", storage=disk, retry_seconds=60)
    append(log, 1)
    disk.break_at("sync", errno.EIO)
    append(log, 2)
    told = read_head(tmp_path / "audit/a")
    assert told is not None
    assert told.seq == 2
    writer = signer(tmp_path)
    made = writer.sign()
    writer.close()
    assert made is not None
    assert made.heads["a"].seq == 2
    log.close()
    assert b'"seq":3' in max((tmp_path / "audit/a").glob("*.log")).read_bytes()


def test_one_signer_a_log(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    one = signer(tmp_path)
    with pytest.raises(AuditBusy, match="another process signs"):
        signer(tmp_path)
    one.close()
    signer(tmp_path).close()


def test_without_a_record_nothing_is_signed(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    writer = signer(tmp_path)
    assert writer.sign() is None
    writer.close()


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize("file_checkpoints", [1, 3])
def test_a_failed_checkpoint_is_written_again_unchanged(
    tmp_path: Path, call: str, file_checkpoints: int
) -> None:
    log = AuditLog(tmp_path / "audit", "a")
    disk = FaultyDisk()
    writer = signer(tmp_path, disk, file_checkpoints)
    writer.sign()
    disk.break_at(call, errno.ENOSPC)
    for number in range(2):
        append(log, number)
        with pytest.raises(OSError, match="No space"):
            writer.sign()
    disk.mend()
    second, third = writer.sign(), writer.sign()
    assert second is not None
    assert third is not None
    assert (second.heads["a"].seq, third.heads["a"].seq) == (2, 3)
    writer.close()
    log.close()
    report = verify(tmp_path / "audit", keys.load(tmp_path / "authority").public)
    assert (report.status, report.checkpoints.count) == ("intact", 3)


def test_cut_at_each_byte_the_next_signer_goes_on(tmp_path: Path) -> None:
    key = signed_log(tmp_path)
    path = notes.files(tmp_path / "audit")[0]
    notes.files(tmp_path / "audit")[1].unlink()
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        writer = signer(tmp_path)
        made = writer.sign()
        writer.close()
        assert made is not None
        assert made.number == whole[:length].count(b"\n") + 1
        report = verify(tmp_path / "audit", key)
        assert (report.status, report.checkpoints.count) == ("intact", made.number)
        for each in notes.files(tmp_path / "audit")[1:]:
            each.unlink()


def test_changed_checkpoints_are_not_added_to(tmp_path: Path) -> None:
    signed_log(tmp_path)
    path = notes.files(tmp_path / "audit")[-1]
    path.write_bytes(path.read_bytes().replace(b"checkpoint", b"Checkpoint", 1))
    with pytest.raises(AuditError, match="is no checkpoint") as refusal:
        signer(tmp_path)
    assert f"firewall audit verify --log {tmp_path / 'audit'}`" in str(refusal.value)


def test_a_chain_that_is_gone_stays_signed(tmp_path: Path) -> None:
    key = signed_log(tmp_path)
    for file in (tmp_path / "audit/b").iterdir():
        file.unlink()
    (tmp_path / "audit/b").rmdir()
    writer = signer(tmp_path)
    writer.sign()
    writer.close()
    report = verify(tmp_path / "audit", key)
    assert report.status == "missing"
    assert report.chains[-1].why == "the chain was signed and is gone"


class TestRotation:
    def test_either_key_verifies_the_whole_log(self, tmp_path: Path) -> None:
        old = signed_log(tmp_path)
        assert keys.rotate(tmp_path / "authority")[0] == old
        middle, new = keys.rotate(tmp_path / "authority")
        writer = signer(tmp_path)
        writer.sign()
        writer.sign()
        writer.close()
        for key in (old, middle, new):
            report = verify(tmp_path / "audit", key)
            assert report.status == "intact", report
            assert report.checkpoints.key == new

    def test_a_new_log_tells_all_rotations(self, tmp_path: Path) -> None:
        (tmp_path / "audit").mkdir()
        old = keys.ensure(tmp_path / "authority").public
        keys.rotate(tmp_path / "authority")
        signed_log(tmp_path)
        assert verify(tmp_path / "audit", old).status == "intact"

    def test_a_key_that_follows_no_other_signs_nothing(self, tmp_path: Path) -> None:
        old = signed_log(tmp_path)
        (tmp_path / "authority/audit-key").unlink()
        writer = signer(tmp_path)
        with pytest.raises(AuditError, match=f"no rotation leads from the key {old.id.hex()}"):
            writer.sign()
        writer.close()

    def test_the_old_key_signs_nothing_more(self, tmp_path: Path) -> None:
        old = signed_log(tmp_path)
        stolen = (tmp_path / "authority/audit-key").read_text()
        keys.rotate(tmp_path / "authority")
        writer = signer(tmp_path)
        writer.sign()
        (tmp_path / "authority/audit-key").write_text(stolen)
        with pytest.raises(AuditError, match="no rotation leads"):
            writer.sign()
        writer.close()
        assert verify(tmp_path / "audit", old).status == "intact"


class TestKeys:
    def test_the_key_is_private_and_made_once(self, tmp_path: Path) -> None:
        key = keys.ensure(tmp_path / "authority")
        assert (tmp_path / "authority/audit-key").stat().st_mode & 0o777 == 0o600
        assert keys.ensure(tmp_path / "authority") == key
        assert keys.public_file(tmp_path / "authority") == str(key.public)

    def test_a_key_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        keys.ensure(tmp_path)
        os.chmod(tmp_path / "audit-key", 0o640)
        with pytest.raises(AuditError, match="chmod 0600"):
            keys.ensure(tmp_path)

    def test_a_damaged_key_is_refused(self, tmp_path: Path) -> None:
        keys.ensure(tmp_path)
        (tmp_path / "audit-key").write_text("PRIVATE+KEY+x")
        with pytest.raises(AuditError, match="restore it"):
            keys.load(tmp_path)
