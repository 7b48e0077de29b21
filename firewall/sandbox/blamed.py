"""Processes that an alert blames, and all that they started: stopped, continued, or ended.

A pid may belong to another process by the time that a response begins. So each is pinned by a
pidfd (pidfd_open(2)) and compared by its start time before anything is sent to it. The cgroup v2
freezer (cgroup-v2.rst of Linux, `cgroup.freeze`) stops what is alone in its cgroup at once, so that
nothing can be started meanwhile; everything else is stopped by SIGSTOP.
"""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from firewall.sandbox.freeze import Done, Freezer
from firewall.sandbox.procfs import family, pinned, started, state

CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
"""Where cgroup v2 is: alone, or beside version 1 (systemd's hybrid layout)."""
SLACK_SECONDS = 2.0
"""By which two ways to compute one start time may differ."""


class Blamed(Freezer):
    """The trees of processes that were blamed so far; never this firewall or pid 1."""

    def __init__(self) -> None:
        super().__init__(0)
        self._roots: dict[int, float] = {}
        self._frozen: list[Path] = []

    def blame(self, pid: int, start: float | None) -> str:
        """Add a process of this start, in seconds since the epoch; says why it goes on, or "".

        One that has ended, or whose pid is another's by now, is not added and goes on no more.
        """
        if pid in (1, os.getpid()):
            return f"process {pid} is never stopped: it is this firewall or the first of all"
        if start is None:
            return f"process {pid} is not stopped: its start is not known"
        if _is(pid, start):
            self._roots[pid] = start
        return ""

    @property
    def knows_any(self) -> bool:
        """Whether anybody is blamed."""
        return bool(self._roots)

    @property
    def stopped(self) -> int:
        """How many processes are stopped now."""
        return len(self._stopped)

    def terminate(self, done: Done) -> None:
        """End all: stopped first, so that none is started meanwhile."""
        self._wanted = True
        self._work(self._end_all, done)

    def _members(self) -> Iterable[int]:
        roots = [pid for pid, start in self._roots.items() if _is(pid, start)]
        found = dict.fromkeys(pid for root in roots for pid in _tree(root))
        return [pid for pid in found if _cgroup(pid) not in self._frozen]

    def _stop_all(self) -> int:
        members = set(self._members())
        for folder in {folder for pid in members if (folder := _cgroup(pid))}:
            self._freeze_cgroup(folder, members)
        return super()._stop_all()

    def _continue_all(self) -> int:
        while self._frozen:
            with suppress(OSError):
                (self._frozen.pop() / "cgroup.freeze").write_text("0")
        self._roots.clear()
        return super()._continue_all()

    def _end_all(self) -> int:
        with suppress(TimeoutError):
            self._stop_all()
        for pid in self._members():  # Those that stood still already are to end too.
            with suppress(FileNotFoundError, ProcessLookupError):
                self._stopped.setdefault(pid, state(pid)[1])
        ended = sum(pinned(pid, start, signal.SIGKILL) for pid, start in self._stopped.items())
        self._stopped.clear()
        self._continue_all()
        return ended

    def _freeze_cgroup(self, folder: Path, members: set[int]) -> None:
        """Freeze a cgroup that holds none but members."""
        with suppress(OSError, ValueError):
            inside = {int(each) for each in (folder / "cgroup.procs").read_text().split()}
            if inside <= members and not any(each.is_dir() for each in folder.iterdir()):
                starts = {pid: state(pid)[1] for pid in inside}
                (folder / "cgroup.freeze").write_text("1")
                self._frozen.append(folder)
                self._stopped |= starts


def _tree(root: int) -> Iterable[int]:
    """A process and all that it started, but for this firewall and what that started."""
    found = {root, *family(root)}
    own = os.getpid()
    return found - {own, *family(own)} if own in found else found


def _cgroup(pid: int) -> Path | None:
    """The folder of a process's cgroup, None where it has none that could be frozen."""
    with suppress(OSError):
        name = Path(f"/proc/{pid}/cgroup").read_text().partition("0::/")[2].strip()
        for root in CGROUPS if name else ():
            if (root / name / "cgroup.freeze").exists():
                return root / name
    return None


def _is(pid: int, start: float) -> bool:
    try:
        return state(pid)[0] not in "ZX" and abs(started(pid) - start) < SLACK_SECONDS
    except (OSError, ValueError, IndexError):
        return False
