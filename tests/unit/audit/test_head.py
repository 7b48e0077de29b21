"""The hint of a chain's newest record is whole or is not believed, and a chain must reach it."""

from pathlib import Path

import pytest

from firewall.audit import AuditError, AuditLog
from firewall.audit.head import HeadFile, read_head
from firewall.audit.record import Seal
from tests.unit.audit.signing import append


def test_what_is_told_is_read(tmp_path: Path) -> None:
    assert read_head(tmp_path) is None
    file = HeadFile(tmp_path)
    for seq in (1, 12, (1 << 63)):
        file.put(Seal(seq, "", "ab" * 32))
        assert read_head(tmp_path) == Seal(seq, "", "ab" * 32)
    file.close()
    assert (tmp_path / "head").stat().st_mode & 0o777 == 0o600


def test_half_a_hint_is_none(tmp_path: Path) -> None:
    file = HeadFile(tmp_path)
    file.put(Seal(7, "", "ab" * 32))
    file.close()
    whole = (tmp_path / "head").read_bytes()
    for place in range(len(whole)):
        (tmp_path / "head").write_bytes(whole[:place])
        assert read_head(tmp_path) is None
        changed = bytearray(whole)
        changed[place] ^= 1
        (tmp_path / "head").write_bytes(changed)
        assert read_head(tmp_path) is None


def test_a_chain_that_does_not_reach_it_is_not_gone_on_with(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "a")
    append(log, 1)
    log.close()
    (path,) = (tmp_path / "a").glob("*.log")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(AuditError, match="record 3, known to be written, is not there"):
        AuditLog(tmp_path, "a")
    path.unlink()
    with pytest.raises(AuditError, match="the chain's files are gone"):
        AuditLog(tmp_path, "a")


def test_a_hint_that_lags_behind_harms_nothing(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "a")
    early = (tmp_path / "a/head").read_bytes()
    append(log, 1)
    log.close()
    (tmp_path / "a/head").write_bytes(early)
    log = AuditLog(tmp_path, "a")
    append(log, 2)
    log.close()
    head = read_head(tmp_path / "a")
    assert head is not None
    assert head.seq == 6
