"""Power is lost at any point, on a disk that fails as disks fail: no acknowledged record is gone.

The disk of these tests remembers what was synced. When the power goes it keeps any prefix of what
was not, or pages of it that read as zeros.
"""

import errno
import os
import random
import threading
from pathlib import Path

import pytest

from firewall.audit import AuditLog, keys, read, verify
from firewall.audit.storage import Disk
from tests.unit.audit.signing import signer
from tests.waiting import PATIENCE

PAGE = 4096


class PowerLostError(OSError):
    """No call comes back any more."""


class Fragile(Disk):
    """Fails by chance: short writes, EIO on write and sync, a full disk, and at last no power."""

    def __init__(self, chance: random.Random, calls: int) -> None:
        self._chance = chance
        self._left = calls
        self._synced: dict[int, int] = {}
        self._open: dict[int, Path] = {}
        self.lost = threading.Event()

    def open(self, path: Path, *, create: bool) -> int:
        self._count()
        descriptor = super().open(path, create=create)
        self._open[descriptor] = path
        self._synced[descriptor] = os.fstat(descriptor).st_size
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self._count()
        if self._chance.random() < 0.05:
            raise OSError(self._chance.choice([errno.EIO, errno.ENOSPC]), "a bad write")
        most = self._chance.choice([len(data), len(data), self._chance.randint(1, len(data))])
        return super().write(descriptor, data[:most])

    def sync(self, descriptor: int) -> None:
        self._count()
        if self._chance.random() < 0.1:
            raise OSError(errno.EIO, "a bad sync")
        super().sync(descriptor)
        self._synced[descriptor] = os.fstat(descriptor).st_size

    def cut(self, descriptor: int, length: int) -> None:
        self._count()
        super().cut(descriptor, length)
        self._synced[descriptor] = length

    def close(self, descriptor: int) -> None:
        self._lose(descriptor)
        super().close(descriptor)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.lost.set()
            raise PowerLostError(errno.EIO, "no power")

    def _lose(self, descriptor: int) -> None:
        """What a file is like after the power went, where it went before this was closed."""
        path, synced = self._open.pop(descriptor, None), self._synced.pop(descriptor, 0)
        if path is None or not self.lost.is_set():
            return
        size = path.stat().st_size
        kept = self._chance.randint(min(synced, size), size)
        data = bytearray(path.read_bytes()[:kept])
        if self._chance.random() < 0.5:
            start = -(-synced // PAGE) * PAGE
            for page in range(start, kept, PAGE):
                if self._chance.random() < 0.5:
                    data[page : page + PAGE] = bytes(len(data[page : page + PAGE]))
        path.write_bytes(data)


@pytest.mark.parametrize("seed", range(60))
def test_acknowledged_records_and_checkpoints_survive(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    directory = tmp_path / "audit"
    acknowledged: list[int] = []
    number, signed = 0, 0
    for _ in range(4):
        AuditLog(directory, "a").close()
        disk = Fragile(chance, calls=chance.randint(1, 60))
        try:
            log = AuditLog(directory, "a", storage=disk, retry_seconds=0.001, segment_limit=9_000)
        except Exception:
            assert verify(directory).status in ("intact", "torn")
            continue
        for _ in range(40):
            number += 1
            answered = threading.Event()

            def done(error: Exception | None, number: int = number) -> None:
                if error is None:
                    acknowledged.append(number)
                answered.set()  # noqa: B023 - waited for before the next

            log.append({"kind": "n", "n": number, "pad": "x" * chance.randint(0, 3000)}, done)
            assert answered.wait(PATIENCE)
        disk._left = 0
        log.close()
        assert verify(directory).status in ("intact", "torn")
        written = {record.get("n") for record in read(directory)}
        assert set(acknowledged) <= written
        AuditLog(directory, "a").close()
        writer = signer(tmp_path)
        made = writer.sign()
        assert made is not None
        assert made.number == signed + 1
        signed = made.number
        writer.close()
        assert verify(directory, keys.load(tmp_path / "authority").public).status == "intact"
