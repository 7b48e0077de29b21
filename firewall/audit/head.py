"""Where a chain's newest durable record is told to other processes: the file `head` of its folder.

Whoever signs checkpoints must know what its writer has acknowledged: a line that can be read may
still be lost, or be cut off again by its writer. The file is a hint that is never synced, so it
lags behind the disk and is never ahead of it; what it says is always checked against the records.
"""

import os
import zlib
from pathlib import Path

from firewall.audit.record import GENESIS, Seal

_FILE = "head"
_LENGTH = 20 + 1 + 64 + 1 + 8 + 1


class HeadFile:
    """The writer's end. Raises OSError where the file cannot be opened."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(folder / _FILE, flags, 0o600)

    def put(self, seal: Seal) -> None:
        """Tell the newest acknowledged record."""
        body = f"{seal.seq:020d} {seal.hash} "
        os.pwrite(self._descriptor, f"{body}{zlib.crc32(body.encode()):08x}\n".encode(), 0)

    def close(self) -> None:
        os.close(self._descriptor)


def read_head(folder: Path) -> Seal | None:
    """What a chain's writer has acknowledged, without `prev`; None where nothing whole is told."""
    try:
        data = (folder / _FILE).read_bytes()
    except OSError:
        return None
    body, check = data[:86], data[86:]
    if len(data) != _LENGTH or check != b"%08x\n" % zlib.crc32(body):
        return None
    seq, hash_, _ = body.decode("ascii").split(" ")
    return Seal(int(seq), "", hash_) if hash_ != GENESIS else None
