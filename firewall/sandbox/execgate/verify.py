"""What really runs, looked at after a call went on."""

import heapq
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue

from firewall.commands import left_to_the_network, read_argv
from firewall.requests import Execute
from firewall.sandbox.execgate.calls import CallError
from firewall.sandbox.execgate.files import Files, Image, Program, text

FIRST_LOOK = 0.001
LOOKS = 8
"""Looks at one call, each after twice the time of the one before: the last after 0.25 s. A call
that has not changed the image by then has failed, or runs what ran before."""
WAITING = 4096
ARGUMENTS = 64 << 10
"""Bytes of a command line that are compared."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A call that went on. `before` is what its process ran until then."""

    thread: int
    pid: int
    program: Program
    before: "Running | None"


@dataclass(frozen=True, slots=True)
class Running:
    """What a process runs: its image, and the start of its command line."""

    image: Image
    words: tuple[str, ...]


@dataclass(slots=True, order=True)
class _Look:
    due: float
    handle: int
    judged: Judged = field(compare=False)
    looks: int = field(default=0, compare=False)


class Verifier:
    """Compares images after the fact, on the gate's thread; `expect` may be called by any.

    `mismatch` is given what was judged, what runs, and how to end it; `wake` is called when there
    is something new to look at.
    """

    def __init__(
        self,
        files: Files,
        mismatch: Callable[[Judged, Execute, Callable[[], None]], None],
        wake: Callable[[], None],
    ) -> None:
        self._files = files
        self._mismatch = mismatch
        self._wake = wake
        self._new: SimpleQueue[_Look] = SimpleQueue()
        self._looks: list[_Look] = []

    def before(self, pid: int) -> Running | None:
        """What a process runs now."""
        try:
            return Running(self._files.running(pid), _words(pid))
        except (OSError, CallError):
            return None

    def expect(self, judged: Judged) -> None:
        """Look at a process soon."""
        with suppress(OSError):
            handle = os.pidfd_open(judged.pid)
            self._new.put(_Look(time.monotonic() + FIRST_LOOK, handle, judged))
            self._wake()

    def patience(self) -> float | None:
        """Milliseconds until the next look is due; None where there is none."""
        if not self._looks:
            return None
        return max(0.0, (self._looks[0].due - time.monotonic()) * 1000) + 0.1

    def look(self) -> None:
        """Look at every process whose time has come."""
        while not self._new.empty():
            heapq.heappush(self._looks, self._new.get())
        now = time.monotonic()
        while self._looks and (self._looks[0].due <= now or len(self._looks) > WAITING):
            look = heapq.heappop(self._looks)
            if self._settled(look):
                os.close(look.handle)
            else:
                heapq.heappush(self._looks, look)

    def _settled(self, look: _Look) -> bool:
        """Whether nothing more can be learnt of this call."""
        judged = look.judged
        found = self.before(judged.pid)
        if found is None:
            return True
        program = judged.program
        if _same(found.image, program.image) and found.words == _cut(program.words):
            return True
        old = judged.before
        # A command line is empty until the kernel has set it up.
        unchanged = old is not None and _same(found.image, old.image) and found.words == old.words
        if unchanged or not found.words:
            look.looks += 1
            look.due += FIRST_LOOK * 2**look.looks
            return look.looks >= LOOKS
        self._tell(judged, found, look.handle)
        return True

    def _tell(self, judged: Judged, running: Running, handle: int) -> None:
        found = _request(judged.pid, running)
        kept = os.dup(handle)

        def kill() -> None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(kept, signal.SIGKILL)
            os.close(kept)

        self._mismatch(judged, found, kill)


def _same(one: Image, other: Image) -> bool:
    return (one.device, one.inode, one.digest) == (other.device, other.inode, other.digest)


def _words(pid: int) -> tuple[str, ...]:
    """The start of a process's command line, which it may change itself. Raises OSError."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        data = file.read(ARGUMENTS)
    return tuple(map(text, data[:ARGUMENTS].removesuffix(b"\0").split(b"\0"))) if data else ()


def _cut(words: tuple[str, ...]) -> tuple[str, ...]:
    """As much of a command line as `_words` reads."""
    data = b"\0".join(each.encode(errors="surrogateescape") for each in words)[:ARGUMENTS]
    return tuple(data.decode(errors="surrogateescape").split("\0"))


def _request(pid: int, running: Running) -> Execute:
    """What runs, as a request."""
    directory = ""
    with suppress(OSError):
        directory = text(os.readlink(f"/proc/{pid}/cwd".encode()))
    path, argv = running.image.path, running.words
    reading = read_argv((path, *argv[1:]), directory)
    findings = tuple(each for each in reading.findings if not left_to_the_network(each))
    return Execute(path, argv, directory, findings, "", running.image.digest, reading.commands)
