"""The names behind synthetic addresses, in memory that several processes share.

The gate answers DNS and writes a name before it answers with its address; a worker reads which name
a connection is for. Nobody waits for anybody: a slot carries a checksum of itself, so that a reader
sees the whole name that belongs to a number, or none. The memory is a sparse file: only slots that
were written take any.
"""

import mmap
import os
import zlib
from typing import Self

SLOT = 264
"""Bytes: a CRC-32, whether a worker has looked since the gate did, a length, and the name."""
LONGEST = SLOT - 6
"""A name of DNS has at most 253 characters (RFC 1035 2.3.4). A longer text has bytes escaped, which
no host's name has, and is not shared."""
TRIES = 3

_USED, _LENGTH, _NAME = 4, 5, 6


class NameTable:
    """So many slots by number. The gate makes one; `NameTable.of` is a worker's view of it."""

    def __init__(self, slots: int, memory: int | None = None) -> None:
        """`memory` is another process's descriptor of the table, which is taken over."""
        self.descriptor = os.memfd_create("names", os.MFD_CLOEXEC) if memory is None else memory
        if memory is None:
            os.ftruncate(self.descriptor, slots * SLOT)
        self._slots = mmap.mmap(self.descriptor, slots * SLOT)

    @classmethod
    def of(cls, memory: int) -> Self:
        """The table in a descriptor that was handed over."""
        return cls(os.fstat(memory).st_size // SLOT, memory)

    def put(self, number: int, name: str) -> None:
        """Write a name, in the place of any before it."""
        encoded = name.encode()
        if len(encoded) > LONGEST:
            encoded = b""
        start = number * SLOT
        tail = bytes((0, len(encoded))) + encoded
        self._slots[start : start + 4] = bytes(4)
        self._slots[start + _USED : start + _USED + len(tail)] = tail
        self._slots[start : start + 4] = _checksum(number, encoded)

    def get(self, number: int) -> str | None:
        """The name of a number, None where it has none; that it was looked for is remembered."""
        for _ in range(TRIES):
            slot = self._slots[number * SLOT : (number + 1) * SLOT]
            if not slot:
                return None  # beyond the table: the addresses are more than its numbers
            name = slot[_NAME : _NAME + slot[_LENGTH]]
            if not name:
                return None
            if slot[:_USED] == _checksum(number, name):
                self._slots[number * SLOT + _USED] = 1
                return name.decode()
        return None

    def used(self, number: int) -> bool:
        """Whether a worker has looked for this number since the last time that this was asked."""
        at = number * SLOT + _USED
        looked, self._slots[at] = bool(self._slots[at]), 0
        return looked

    def close(self) -> None:
        self._slots.close()
        os.close(self.descriptor)


def _checksum(number: int, name: bytes) -> bytes:
    return zlib.crc32(name, number).to_bytes(4)
