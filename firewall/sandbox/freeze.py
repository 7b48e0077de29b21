"""Every process of a sandbox stopped from outside, and continued.

SIGSTOP can be neither caught nor ignored (signal(7)), but a process may start others until it gets
it, and wake others that have it already. So it is sent until a whole look finds nothing that runs.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterable

from firewall.sandbox.procfs import family, pinned, state

PAUSE_SECONDS = 0.005
FREEZE_SECONDS = 10.0
"""How long processes may go on appearing before it is said that they do."""

_IDLE = frozenset("TtZX")
"""Stopped, stopped by a tracer, or dead (proc(5))."""
_BUSY = "D"
"""In the kernel, where no signal reaches it; it stops on its way out."""

type Done = Callable[[int, str], None]


class Freezer:
    """The processes of one sandbox but its first, which serves the firewall.

    `done` gets how many processes were stopped, or continued, and what went wrong, or "", on a
    thread of its own.
    """

    def __init__(self, sandbox_pid: int) -> None:
        self._pid = sandbox_pid
        self._stopped: dict[int, int] = {}
        self._wanted = False
        self._lock = threading.Lock()

    def freeze(self, done: Done) -> None:
        self._wanted = True
        self._work(self._stop_all, done)

    def thaw(self, done: Done) -> None:
        """Continue what was stopped here, and nothing that had stopped before."""
        self._wanted = False
        self._work(self._continue_all, done)

    def _work(self, work: Callable[[], int], done: Done) -> None:
        def run() -> None:
            with self._lock:
                try:
                    result = (work(), "")
                except Exception as error:
                    result = (len(self._stopped), f"not every process could be reached: {error}")
            done(*result)

        threading.Thread(target=run, name="freezer", daemon=True).start()

    def _stop_all(self) -> int:
        until = time.monotonic() + FREEZE_SECONDS
        while self._wanted and self._stop_what_runs():
            if time.monotonic() > until:
                raise TimeoutError(f"new ones still appear after {FREEZE_SECONDS:.0f} s")
            time.sleep(PAUSE_SECONDS)
        return len(self._stopped)

    def _stop_what_runs(self) -> bool:
        """Send the signal to whatever runs; whether anything did."""
        ran = [self._stop(pid) for pid in self._members()]
        return any(ran)

    def _members(self) -> Iterable[int]:
        return family(self._pid)

    def _stop(self, pid: int) -> bool:
        try:
            now, started = state(pid)
            if now in _IDLE:
                return False
            sent = pinned(pid, started, signal.SIGSTOP)
        except (FileNotFoundError, ProcessLookupError):
            sent = False
        if not sent:
            return True  # It ended just now, and may have left a child that this look has missed.
        known = self._stopped.get(pid) == started
        self._stopped[pid] = started
        return not (known and now == _BUSY)

    def _continue_all(self) -> int:
        """Children first, so that no shell sees one of its own stopped."""
        count = 0
        while self._stopped:
            pid, started = self._stopped.popitem()
            count += pinned(pid, started, signal.SIGCONT)
        return count
