"""What really runs, looked at after a call went on."""

import heapq
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue

from firewall.actor import Process
from firewall.commands import left_to_the_network, read_argv
from firewall.frozen import frozen
from firewall.requests import Execute
from firewall.sandbox import procfs
from firewall.sandbox.execgate.calls import CallError
from firewall.sandbox.execgate.files import Files, Image, Program, Version, text, version

FIRST_LOOK = 0.001
LOOKS = 8
"""Looks at one call, each after twice the time of the one before: the last after 0.25 s. A call
that has not changed the image by then has failed, or runs what ran before."""
WAITING = 4096
ARGUMENTS = 64 << 10
"""Bytes of a command line that are compared."""


@frozen
class Before:
    """What a caller ran until its call: its file, and its command line without empty last words."""

    file: Version
    words: tuple[str, ...]


@frozen
class Judged:
    """A call that went on. `before` is None where its caller could not be read."""

    pid: int
    program: Program
    before: Before | None


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
        try:
            file, words = _file(judged.pid), _words(judged.pid)
            if words == _cut(judged.program.words) and self._is_judged(judged, file):
                return True
            if words and not _unchanged(judged.before, file, words):
                self._tell(judged, self._files.running(judged.pid), words, look.handle)
                return True
        except (OSError, CallError):
            return True
        # Nothing has changed yet. A command line is empty until the kernel has set it up.
        look.looks += 1
        look.due += FIRST_LOOK * 2**look.looks
        return look.looks >= LOOKS

    def _is_judged(self, judged: Judged, file: Version) -> bool:
        image = judged.program.image
        return file == image.version or self._files.running(judged.pid).is_same(image)

    def _tell(self, judged: Judged, image: Image, words: tuple[str, ...], handle: int) -> None:
        found = _request(judged.pid, image, words)
        kept = os.dup(handle)

        def kill() -> None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(kept, signal.SIGKILL)
            os.close(kept)

        self._mismatch(judged, found, kill)


def before(caller: Process | None) -> Before | None:
    """What a caller runs, who has just been described."""
    if caller is None:
        return None
    with suppress(OSError):
        return Before(_file(caller.pid), _trimmed(caller.argv))
    return None


def _unchanged(old: Before | None, file: Version, words: tuple[str, ...]) -> bool:
    return old is not None and (file, _trimmed(words)) == (old.file, old.words)


def _trimmed(words: tuple[str, ...]) -> tuple[str, ...]:
    """Without the empty words at the end, which a description leaves out."""
    while words and not words[-1]:
        words = words[:-1]
    return words


def _file(pid: int) -> Version:
    """The file that a process runs. Raises OSError."""
    return version(os.stat(f"/proc/{pid}/exe"))


def _words(pid: int) -> tuple[str, ...]:
    """The start of a process's command line, which it may change itself. Raises OSError."""
    data = procfs.command_line(pid, ARGUMENTS)
    return tuple(map(text, data[:ARGUMENTS].removesuffix(b"\0").split(b"\0"))) if data else ()


def _cut(words: tuple[str, ...]) -> tuple[str, ...]:
    """As much of a command line as `_words` reads."""
    data = b"\0".join(each.encode(errors="surrogateescape") for each in words)[:ARGUMENTS]
    return tuple(data.decode(errors="surrogateescape").split("\0"))


def _request(pid: int, image: Image, words: tuple[str, ...]) -> Execute:
    """What runs, as a request."""
    directory = ""
    with suppress(OSError):
        directory = text(os.readlink(f"/proc/{pid}/cwd".encode()))
    reading = read_argv((image.path, *words[1:]), directory)
    findings = tuple(each for each in reading.findings if not left_to_the_network(each))
    return Execute(image.path, words, directory, findings, "", image.digest, reading.commands)
