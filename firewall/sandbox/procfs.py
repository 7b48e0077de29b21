"""The processes of a sandbox as the host sees them (proc(5))."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from firewall.actor import Process

# Taken once, so that a process keeps one start time for as long as the firewall runs.
_BOOTED = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
_TICKS = os.sysconf("SC_CLK_TCK")
ARGUMENT_BYTES = 64 << 10
"""What is read of a process's arguments at most: an agent's may be megabytes."""
# Fields of /proc/<pid>/stat, counted after the program's name.
_PARENT, _THREADS, _STARTED, _STACK = 1, 17, 19, 25
_CODE, _ARGUMENTS = slice(23, 26), slice(45, 49)


def family(sandbox_pid: int) -> dict[int, int]:
    """The parent of every process inside, parents before children, without the sandbox's first."""
    parents: dict[int, int] = {}
    waiting = [sandbox_pid]
    for parent in waiting:
        for child in _children(parent):
            if child not in parents:
                parents[child] = parent
                waiting.append(child)
    return parents


class Glance(NamedTuple):
    """What one look at a process tells: its parent, and what changes when it executes another
    program (nothing where that may not be known): its name, its start, and where its code, stack,
    arguments and environment lie."""

    parent: int
    image: tuple[bytes, ...]


def glance(pid: int) -> Glance:
    """Look at a process. Raises OSError when it is gone."""
    name, _, rest = _stat_line(f"/proc/{pid}").rpartition(b")")
    fields = rest.split()
    placed = (*fields[_CODE], *fields[_ARGUMENTS])
    known = fields[_STACK] != b"0"
    return Glance(int(fields[_PARENT]), (name, fields[_STARTED], *placed) if known else ())


def lineage(pid: int, sandbox_pid: int, look: Callable[[int], Glance] = glance) -> dict[int, int]:
    """As `family`, of one process and those above it; nothing where it is not inside."""
    line: dict[int, int] = {}
    with suppress(OSError):
        while pid != sandbox_pid:
            line[pid] = look(pid).parent
            pid = line[pid]
        return dict(reversed(line.items()))
    return {}


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                yield from map(int, _read(f"/proc/{pid}/task/{task}/children").split())


def state(pid: int) -> tuple[str, int]:
    """The letter of a process's state and its start in ticks since boot. Raises OSError.

    A process whose first thread has ended is in the state of another: it is no zombie.
    """
    fields = _stat(f"/proc/{pid}")
    return _stat(_living(pid, fields))[0].decode(), int(fields[_STARTED])


def _living(pid: int, stat: list[bytes]) -> str:
    """The folder that tells of a process: that of another thread where its first has ended, which
    looks like a zombie's and holds nothing."""
    if stat[0] == b"Z" and int(stat[_THREADS]) > 1:
        for task in os.listdir(f"/proc/{pid}/task"):
            folder = f"/proc/{pid}/task/{task}"
            with suppress(OSError):
                if _stat(folder)[0] not in (b"Z", b"X"):
                    return folder
    return f"/proc/{pid}"


def _stat(folder: str) -> list[bytes]:
    """The fields of a stat file after the program's name, which may hold anything."""
    return _stat_line(folder).rpartition(b")")[2].split()


def _stat_line(folder: str) -> bytes:
    return _read_once(f"{folder}/stat", ARGUMENT_BYTES)


def _read_once(path: str, limit: int) -> bytes:
    """A file that one read gives whole: the kernel writes a stat at once (single_open), and of a
    command line as much as fits (get_mm_cmdline, fs/proc/base.c)."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, limit)
    finally:
        os.close(handle)


def pinned(pid: int, started: int, number: signal.Signals) -> bool:
    """Send a signal to a process of this start, in ticks since boot; False where it is gone.

    The pidfd keeps meaning the process whose start was compared (pidfd_open(2)).
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if state(pid)[1] != started:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except (FileNotFoundError, ProcessLookupError):
        return False
    finally:
        os.close(descriptor)
    return True


def started(pid: int) -> float:
    """When a process was started, in seconds since the epoch. Raises OSError when it is gone."""
    return _since_epoch(int(_stat(f"/proc/{pid}")[_STARTED]))


def _since_epoch(ticks: int) -> float:
    return round(_BOOTED + ticks / _TICKS, 2)


def describe(pid: int, limit: int = ARGUMENT_BYTES) -> Process:
    """What a process is, with at most `limit` bytes of arguments. Raises OSError when it is gone.

    `exe` is "" where its name may not be read: the sandbox's first process guards it.
    """
    return describe_with_parent(pid, limit)[0]


def describe_with_parent(pid: int, limit: int = ARGUMENT_BYTES) -> tuple[Process, int]:
    """As `describe`, and the process's parent."""
    status = _stat(f"/proc/{pid}")
    folder = _living(pid, status)
    arguments = _read_once(f"{folder}/cmdline", limit).rstrip(b"\0").split(b"\0")
    process = Process(
        pid=pid,
        started=_since_epoch(int(status[_STARTED])),
        exe=_executable(folder),
        argv=tuple(map(_text, arguments)),
        # Root's is also the folder of a process that hid itself; asking its status costs more.
        uid=os.stat(f"/proc/{pid}").st_uid or _user(pid),
    )
    return process, int(status[_PARENT])


def command_line(pid: int, limit: int) -> bytes:
    """The start of a process's arguments, each ended by a zero byte. Raises OSError."""
    return _read_once(f"/proc/{pid}/cmdline", limit)


def _executable(folder: str) -> str:
    try:
        return _text(os.readlink(f"{folder}/exe".encode()))
    except PermissionError:
        return ""


def _text(name: bytes) -> str:
    """A name that the agent chose, as text that every record can hold."""
    return name.decode(errors="backslashreplace")


def _user(pid: int) -> int:
    _, _, rest = _read(f"/proc/{pid}/status").partition(b"\nUid:")
    return int(rest.split(maxsplit=1)[0])


def socket_inodes(pid: int, looked: dict[str, None] | None = None) -> Iterator[int]:
    """The inodes of the sockets that a process holds. Raises OSError when it may not be asked.

    With `looked`, which remembers the order of earlier looks, the descriptor that was not looked at
    for longest comes first: a new one gets the lowest number that is free, which is likely that of
    one that has been closed.
    """
    folder = f"/proc/{pid}/fd"
    if not (names := os.listdir(folder)):
        folder = f"{_living(pid, _stat(f'/proc/{pid}'))}/fd"
        names = os.listdir(folder)
    for name in names if looked is None else _by_age(names, looked):
        with suppress(OSError):
            target = os.readlink(f"{folder}/{name}")
            if target.startswith("socket:["):
                yield int(target[8:-1])


def _by_age(names: list[str], looked: dict[str, None]) -> Iterator[str]:
    present = set(names)
    for name in [each for each in looked if each not in present]:
        del looked[name]
    for name in [each for each in names if each not in looked] + list(looked):
        looked.pop(name, None)
        looked[name] = None
        yield name


def _read(path: str, limit: int = ARGUMENT_BYTES) -> bytes:
    """Without a file object, which costs more than the reading."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = piece = os.read(handle, limit)
        while piece and len(found) < limit:
            piece = os.read(handle, limit - len(found))
            found += piece
        return found
    finally:
        os.close(handle)


def leader(thread: int) -> int:
    """The process that a thread belongs to. Raises OSError when it is gone."""
    with suppress(OSError):
        # Only what leads a process has a pidfd, and to ask for one costs a tenth of reading status.
        os.close(os.pidfd_open(thread))
        return thread
    _, _, rest = _read(f"/proc/{thread}/status").partition(b"\nTgid:")
    return int(rest.split(maxsplit=1)[0])


def ancestry(pid: int, first: int, limit: int = 32, argument_bytes: int = 2 << 10) -> list[Process]:
    """A process and its ancestors up to `first`, at most `limit`. Raises OSError."""
    chain = [describe(pid)]
    while pid != first and len(chain) <= limit and (pid := glance(pid).parent) > 0:
        chain.append(describe(pid, argument_bytes))
    return chain
