"""The calls to the disk: private files, whole writes, real locks."""

import os
from pathlib import Path

import pytest

from firewall.audit import storage
from firewall.audit.storage import Disk, write_all


class Grudging(Disk):
    """Takes a few bytes at a time, or none."""

    def __init__(self, most: int) -> None:
        self.most = most

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        return super().write(descriptor, data[: self.most])


@pytest.mark.parametrize("most", [1, 3, 100])
def test_short_writes_are_finished(tmp_path: Path, most: int) -> None:
    disk = Grudging(most)
    file = disk.open(tmp_path / "a", create=True)
    write_all(disk, file, b"0123456789")
    disk.close(file)
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_disk_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    disk = Grudging(0)
    file = disk.open(tmp_path / "a", create=True)
    with pytest.raises(OSError, match="takes no more bytes"):
        write_all(disk, file, b"x")
    disk.close(file)


def test_folders_are_made_private_with_their_parents(tmp_path: Path) -> None:
    Disk().make_directory(tmp_path / "a/b/c")
    for folder in ("a", "a/b", "a/b/c"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
    Disk().make_directory(tmp_path / "a/b/c")


def test_a_new_file_must_be_new(tmp_path: Path) -> None:
    disk = Disk()
    disk.close(disk.open(tmp_path / "a", create=True))
    with pytest.raises(FileExistsError):
        disk.open(tmp_path / "a", create=True)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic links"):
        Disk().open(tmp_path / "link", create=False)


def test_a_lock_holds_until_it_is_closed(tmp_path: Path) -> None:
    disk = Disk()
    lock = disk.lock(tmp_path)
    with pytest.raises(BlockingIOError):
        disk.lock(tmp_path)
    disk.close(lock)
    disk.close(disk.lock(tmp_path))


def test_a_deleted_file_has_no_size(tmp_path: Path) -> None:
    disk = Disk()
    file = disk.open(tmp_path / "a", create=True)
    disk.write(file, b"abc")
    assert disk.size(file) == 3
    disk.cut(file, 1)
    assert disk.size(file) == 1
    (tmp_path / "a").unlink()
    assert disk.size(file) is None
    os.close(file)


def test_a_file_whose_name_is_not_durable_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError("no name is durable")

    monkeypatch.setattr(storage, "sync_directory", fail)
    with pytest.raises(OSError, match="no name is durable"):
        Disk().open(tmp_path / "a", create=True)
    monkeypatch.undo()
    Disk().close(Disk().open(tmp_path / "a", create=True))
