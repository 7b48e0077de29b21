"""Empty pipes, kept for the next direction that moves bytes inside the kernel.

To make and close one for each chunk takes six system calls, and each lets other threads have the
interpreter. A pipe is kept only while it is empty: one flow's bytes never meet another's.
"""

import contextlib
import fcntl
import os

type Pipe = tuple[int, int]

PIPE_SIZE = 1 << 18
"""Bytes that one holds where the kernel lets it (pipe(7)); 64 KiB otherwise."""
KEPT = 32


class Pipes:
    """A few empty pipes. Any thread may use it."""

    def __init__(self) -> None:
        self._kept: list[Pipe] = []

    def take(self) -> Pipe:
        """An empty, non-blocking pipe as (reading end, writing end). Raises OSError."""
        try:
            return self._kept.pop()
        except IndexError:
            return _make()

    def give_back(self, pipe: Pipe, held: int) -> None:
        """Keep it for the next, unless it still holds bytes or there are enough."""
        if held or len(self._kept) >= KEPT:
            os.close(pipe[0])
            os.close(pipe[1])
        else:
            self._kept.append(pipe)


def _make() -> Pipe:
    pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return pipe
