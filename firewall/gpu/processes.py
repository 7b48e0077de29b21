"""Which process stands behind a pid that NVML names, from /proc (proc(5))."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from firewall.gpu.cgroup import Place, place
from firewall.gpu.view import ProcessView

PROC = Path("/proc")
HOST_PID_NAMESPACE = 0xEFFFFFFC
"""The inode of the first pid namespace: PROC_PID_INIT_INO in Linux, include/linux/proc_ns.h."""

ARGUMENT_BYTES = 2 << 10
"""Of each process's arguments: an agent may make them megabytes long."""
READ_BYTES = 16 << 10
STAT_BYTES = 1 << 20
"""/proc/stat has a line for each processor, and one for interrupts that is longer than all."""
ANCESTORS = 32
TICKS = os.sysconf("SC_CLK_TCK")


def sees_host_pids(proc: Path = PROC) -> bool:
    """Whether pids here mean what NVML means: its pids are those of the host."""
    try:
        return (proc / "self/ns/pid").stat().st_ino == HOST_PID_NAMESPACE
    except OSError:
        return False


def owner(pid: int, proc: Path = PROC) -> ProcessView | None:
    """Look a process up; None where it is gone, or became another one meanwhile.

    What may not be read of it is None.
    """
    begun = _stat(f"{proc}/{pid}")
    folder = _alive(f"{proc}/{pid}", begun) if begun else None
    if begun is None or folder is None:
        return None
    boot, where = _boot(proc), container(pid, proc)
    found = ProcessView(
        pid,
        started=None if boot is None else boot + int(begun[_STARTED]) / TICKS,
        exe=_try(lambda: _text(os.readlink(f"{folder}/exe".encode()))),
        argv=_try(lambda: _argv(folder)) or (),
        uid=_try(lambda: os.stat(folder).st_uid),
        namespace=_try(lambda: os.stat(f"{folder}/ns/net").st_ino),
        name=_try(lambda: _text(_read(f"{folder}/comm")).rstrip("\n")),
        container=where.container if where else None,
        container_kind=where.kind if where else "",
        pod=where.pod if where else "",
        unit=where.unit if where else "",
        ancestors=_ancestors(int(begun[_PARENT]), proc),
    )
    now = _stat(f"{proc}/{pid}")
    return found if now is not None and now[_STARTED] == begun[_STARTED] else None


def has_ended(pid: int) -> bool:
    """Whether there is no process behind a pid for which `owner` found none; one that /proc hides
    (hidepid, proc(5)) goes on."""
    if _stat(f"{PROC}/{pid}") is not None:
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False


def container(pid: int, proc: Path = PROC) -> Place | None:
    """Where a process runs, by its cgroup; None where that cannot be read."""
    return _try(lambda: place(_text(_read(f"{proc}/{pid}/cgroup"))))


_STATE, _PARENT, _STARTED = 0, 1, 19
"""Fields of /proc/<pid>/stat, counted after the name of the program."""
_DEAD = (b"Z", b"X")


def _stat(folder: str) -> list[bytes] | None:
    """The fields of a process, dead or alive; None where it is gone."""
    try:
        fields = _read(f"{folder}/stat").rpartition(b")")[2].split()
    except OSError:
        return None
    whole = len(fields) > _STARTED and fields[_STARTED].isdigit() and fields[_PARENT].isdigit()
    return fields if whole else None


def _alive(folder: str, stat: list[bytes]) -> str | None:
    """Where a process tells of itself; None where it is a zombie, which has given all back.

    One whose first thread has ended looks like a zombie and works on: its other threads tell.
    """
    if stat[_STATE] not in _DEAD:
        return folder
    for task in _try(lambda: os.listdir(f"{folder}/task")) or ():
        found = _stat(f"{folder}/task/{task}")
        if found is not None and found[_STATE] not in _DEAD:
            return f"{folder}/task/{task}"
    return None


@cache
def _boot(proc: Path) -> int | None:
    """When this machine was started, in seconds since the epoch. Asked for once, so that a process
    keeps one start time, and because the kernel makes it among many counters."""
    try:
        return int(_read(f"{proc}/stat", STAT_BYTES).partition(b"btime ")[2].split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _argv(folder: str) -> tuple[str, ...]:
    return tuple(map(_text, _read(f"{folder}/cmdline", ARGUMENT_BYTES).rstrip(b"\0").split(b"\0")))


def _ancestors(pid: int, proc: Path) -> tuple[int, ...]:
    found: list[int] = []
    while pid > 0 and len(found) < ANCESTORS:
        found.append(pid)
        stat = _stat(f"{proc}/{pid}")
        pid = int(stat[_PARENT]) if stat else 0
    return tuple(found)


def _read(path: str, limit: int = READ_BYTES) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _try[Answer](read: Callable[[], Answer]) -> Answer | None:
    try:
        return read()
    except OSError:
        return None
