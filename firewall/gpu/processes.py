"""Which process stands behind a pid that NVML names, from /proc (proc(5))."""

import os
from collections.abc import Callable
from pathlib import Path

from firewall.gpu.cgroup import Place, place
from firewall.gpu.view import ProcessView

PROC = Path("/proc")
HOST_PID_NAMESPACE = 0xEFFFFFFC
"""The inode of the first pid namespace: PROC_PID_INIT_INO in Linux, include/linux/proc_ns.h."""

ARGUMENT_BYTES = 2 << 10
"""Of each process's arguments: an agent may make them megabytes long."""
ANCESTORS = 32


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
    folder = proc / str(pid)
    begun = _stat(folder)
    if begun is None:
        return None
    where = container(pid, proc)
    found = ProcessView(
        pid,
        started=_started(folder, begun),
        exe=_try(lambda: str((folder / "exe").readlink())),
        argv=_try(lambda: _argv(folder)) or (),
        uid=_try(lambda: folder.stat().st_uid),
        namespace=_try(lambda: (folder / "ns/net").stat().st_ino),
        name=_try(lambda: _text((folder / "comm").read_bytes()).rstrip("\n")),
        container=where.container if where else None,
        container_kind=where.kind if where else "",
        pod=where.pod if where else "",
        unit=where.unit if where else "",
        ancestors=_ancestors(int(begun[_PARENT]), proc),
    )
    now = _stat(folder)
    return found if now is not None and now[_STARTED] == begun[_STARTED] else None


def container(pid: int, proc: Path = PROC) -> Place | None:
    """Where a process runs, by its cgroup; None where that cannot be read."""
    return _try(lambda: place(_text((proc / str(pid) / "cgroup").read_bytes())))


_STATE, _PARENT, _STARTED = 0, 1, 19
"""Fields of /proc/<pid>/stat, counted after the name of the program."""


def _stat(folder: Path) -> list[str] | None:
    """The fields of a process that lives: a zombie has given all it had back."""
    try:
        fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    whole = len(fields) > _STARTED and fields[_STARTED].isdecimal() and fields[_PARENT].isdecimal()
    return fields if whole and fields[_STATE] not in "ZX" else None


def _started(folder: Path, stat: list[str]) -> float | None:
    """In seconds since the epoch: ticks since boot, and the boot time of /proc/stat."""
    try:
        boot = (folder.parent / "stat").read_text().partition("btime ")[2].split()[0]
        return int(boot) + int(stat[_STARTED]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _argv(folder: Path) -> tuple[str, ...]:
    with (folder / "cmdline").open("rb") as file:
        return tuple(map(_text, file.read(ARGUMENT_BYTES).rstrip(b"\0").split(b"\0")))


def _ancestors(pid: int, proc: Path) -> tuple[int, ...]:
    found: list[int] = []
    while pid > 0 and len(found) < ANCESTORS:
        found.append(pid)
        stat = _stat(proc / str(pid))
        pid = int(stat[_PARENT]) if stat else 0
    return tuple(found)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _try[Answer](read: Callable[[], Answer]) -> Answer | None:
    try:
        return read()
    except OSError:
        return None
