"""Which process stands behind a pid that NVML names, from /proc (proc(5))."""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
HOST_PID_NAMESPACE = 0xEFFFFFFC
"""The inode of the first pid namespace: PROC_PID_INIT_INO in Linux, include/linux/proc_ns.h."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process as /proc shows it. `started` is in seconds since the epoch.

    `namespace` is the inode of its network namespace. What could not be read is None.
    """

    started: float | None
    exe: str | None
    name: str | None
    namespace: int | None


def sees_host_pids(proc: Path = PROC) -> bool:
    """Whether pids here mean what NVML means: its pids are those of the host."""
    try:
        return (proc / "self/ns/pid").stat().st_ino == HOST_PID_NAMESPACE
    except OSError:
        return False


def owner(pid: int, proc: Path = PROC) -> Owner:
    """Look a process up."""
    folder = proc / str(pid)
    return Owner(_started(folder), _exe(folder), _name(folder), _namespace(folder))


def _started(folder: Path) -> float | None:
    """The start time: field 22 of stat, in ticks since boot, and the boot time of /proc/stat."""
    try:
        fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        boot = (folder.parent / "stat").read_text().partition("btime ")[2].split()[0]
        return int(boot) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _exe(folder: Path) -> str | None:
    try:
        return str((folder / "exe").readlink())
    except OSError:
        return None


def _name(folder: Path) -> str | None:
    try:
        return (folder / "comm").read_text("utf-8", "backslashreplace").rstrip("\n")
    except OSError:
        return None


def _namespace(folder: Path) -> int | None:
    try:
        return (folder / "ns/net").stat().st_ino
    except OSError:
        return None
