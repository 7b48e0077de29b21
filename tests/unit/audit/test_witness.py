"""Checkpoints in a git repository, and from there in its remote."""

import subprocess
from pathlib import Path

import pytest

from firewall.audit import AuditLog, read_seen, witness
from firewall.audit.record import Stamp, boot_id
from firewall.audit.signer import Signer
from firewall.audit.storage import Disk


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    AuditLog(tmp_path / "audit", "a").close()
    return Signer(tmp_path / "audit", tmp_path / "authority", Disk(), boot_id(), Stamp.now)


def test_each_checkpoint_is_a_commit_that_is_pushed(
    tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for each in (here, there):
        git(tmp_path, "init", "-q", "--bare", str(each))
    git(here, "remote", "add", "origin", str(there))
    place = witness.place(f"git:{here}#log")
    monkeypatch.setattr(witness, "GIT_PACE", 0.0)
    for number in (1, 2):
        made = signer.sign()
        assert made is not None
        place.tell(made)
        assert git(there, "log", "-1", "--format=%s", "log").startswith(f"Checkpoint {number} of 2")
        (tmp_path / "copy").write_text(git(there, "show", f"log:{witness.GIT_FILE}"))
        (seen,) = read_seen(tmp_path / "copy")
        assert seen.note == made.note
    assert git(there, "rev-list", "--count", "log").strip() == "2"
    signer.close()


def test_what_comes_too_soon_is_left_to_the_next(tmp_path: Path, signer: Signer) -> None:
    git(tmp_path, "init", "-q", str(tmp_path / "here"))
    place = witness.place(f"git:{tmp_path / 'here'}")
    for _ in range(2):
        made = signer.sign()
        assert made is not None
        place.tell(made)
    assert git(tmp_path / "here", "rev-list", "--count", witness.GIT_BRANCH).strip() == "1"
    assert git(tmp_path / "here", "status", "--short") == "", "the working tree stays as it is"
    signer.close()


@pytest.mark.parametrize("target", ["git:{}#b ad", "git:{}/none", "git:{}/plain"])
def test_a_place_that_is_no_repository_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(ValueError, match="git init --bare"):
        witness.place(target.format(tmp_path))


@pytest.mark.parametrize("target", ["", "git:", "git://a.test/r", "ftp://a.test/r"])
def test_a_place_that_is_none_is_told_what_to_write(target: str) -> None:
    with pytest.raises(ValueError, match="is no place for checkpoints; write -, a URL, git:"):
        witness.place(target)


def test_a_remote_that_does_not_answer_is_told(tmp_path: Path, signer: Signer) -> None:
    git(tmp_path, "init", "-q", "--bare", str(tmp_path / "here"))
    git(tmp_path / "here", "remote", "add", "origin", str(tmp_path / "gone"))
    made = signer.sign()
    assert made is not None
    with pytest.raises(OSError, match=r"git push: .*gone"):
        witness.place(f"git:{tmp_path / 'here'}").tell(made)
    signer.close()
