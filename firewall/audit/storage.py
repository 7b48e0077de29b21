"""The few calls through which the log touches the disk, in one place.

Tests put another `Storage` here: one that writes short, runs full, or loses what was not synced.
"""

import fcntl
import os
from pathlib import Path
from typing import Protocol

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


class Storage(Protocol):
    """A folder's files. Every method raises OSError where the system does."""

    def make_directory(self, path: Path) -> None:
        """Make a private folder if it is missing, durably."""

    def lock(self, path: Path) -> int:
        """Lock a folder while the descriptor returned is open; BlockingIOError if taken."""

    def open(self, path: Path, *, create: bool) -> int:
        """Open a private file to append; with `create` it must be new and becomes durable."""

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Append once; returns how many bytes were taken, perhaps fewer than given."""

    def sync(self, descriptor: int) -> None:
        """Return when all written bytes are on the disk."""

    def size(self, descriptor: int) -> int | None:
        """The file's length in bytes; None when no folder holds it any more."""

    def cut(self, descriptor: int, length: int) -> None:
        """Shorten the file, durably."""

    def close(self, descriptor: int) -> None:
        """Close a file or release a lock."""


class Disk:
    """The real one."""

    def make_directory(self, path: Path) -> None:
        if path.is_dir():
            return
        self.make_directory(path.parent)
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        sync_directory(path.parent)

    def lock(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def open(self, path: Path, *, create: bool) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        if not create:
            return os.open(path, flags)
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            sync_directory(path.parent)
        except OSError:
            os.close(descriptor)
            os.unlink(path)
            raise
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def size(self, descriptor: int) -> int | None:
        state = os.fstat(descriptor)
        return state.st_size if state.st_nlink else None

    def cut(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable: a file's own fsync does not (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(storage: Storage, descriptor: int, data: bytes) -> None:
    """Append all of `data`, however short the single writes are."""
    rest = memoryview(data)
    while rest:
        taken = storage.write(descriptor, rest)
        if taken <= 0:
            raise OSError("the disk takes no more bytes and does not say why")
        rest = rest[taken:]
