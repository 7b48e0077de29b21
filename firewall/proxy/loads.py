"""How many flows each worker has, in memory that all of them share.

They accept from the same listeners, and the kernel wakes whom it likes: without this, connections
that are opened one by one would all be taken by the same worker. Who has more than another leaves a
connection to that one, for a moment.
"""

import mmap
import os
from typing import Self

NUMBER = 8
"""Bytes of a count."""
GONE = 2**63
"""The count of a worker that does not run: nobody leaves anything to it."""


class Loads:
    """The counts by worker, from 0 on. The gate makes one; `Loads.of` is a worker's view of it."""

    def __init__(self, workers: int, memory: int | None = None) -> None:
        """`memory` is another process's descriptor of the counts, which is taken over."""
        self.descriptor = os.memfd_create("loads", os.MFD_CLOEXEC) if memory is None else memory
        if memory is None:
            os.ftruncate(self.descriptor, workers * NUMBER)
        self._memory = mmap.mmap(self.descriptor, workers * NUMBER)
        self._counts = memoryview(self._memory).cast("Q")
        for worker in range(workers) if memory is None else ():
            self.gone(worker)

    @classmethod
    def of(cls, memory: int) -> Self:
        """The counts in a descriptor that was handed over."""
        return cls(os.fstat(memory).st_size // NUMBER, memory)

    def set(self, worker: int, flows: int) -> None:
        """Tell how many flows a worker has."""
        self._counts[worker] = flows

    def gone(self, worker: int) -> None:
        """A worker does not run."""
        self._counts[worker] = GONE

    def flows(self, worker: int) -> int:
        """How many flows a worker has, as far as it has told."""
        count = self._counts[worker]
        return 0 if count == GONE else count

    def leads(self, worker: int, more: int = 0) -> bool:
        """Whether another worker has clearly fewer flows than this one, which has `more` than told:
        fewer by two, or by a quarter where they have many, as short ones come and go."""
        least = min(self._counts)
        return self._counts[worker] + more > least + max(1, least // 4)

    def close(self) -> None:
        self._counts.release()
        self._memory.close()
        os.close(self.descriptor)
