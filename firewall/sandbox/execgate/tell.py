"""The line that a refused program's caller finds on its standard error."""

import os
import select
import socket
import stat
from collections.abc import Callable

from firewall.sandbox import linux
from firewall.verdict import Verdict

LIMIT = 1500
"""Bytes of the line: less than PIPE_BUF, so that a pipe takes it whole or not at all (pipe(7))."""
_STDERR = 2


def tell(pid: int, verdict: Verdict) -> None:
    """Write why to the standard error of a process that waits. Never blocks. Raises OSError."""
    mode = os.stat(f"/proc/{pid}/fd/{_STDERR}").st_mode
    kind: Callable[[int, bytes], None] = _write_anew
    if stat.S_ISREG(mode):
        kind = _write_behind
    elif stat.S_ISSOCK(mode):
        kind = _send
    kind(pid, line(verdict))


def _write_anew(pid: int, data: bytes) -> None:
    """A pipe or a terminal: opened anew, so that only this writer does not wait."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    handle = os.open(f"/proc/{pid}/fd/{_STDERR}", flags)
    try:
        poller = select.poll()
        poller.register(handle, select.POLLOUT)
        if poller.poll(0):
            os.write(handle, data)
    finally:
        os.close(handle)


def _write_behind(pid: int, data: bytes) -> None:
    """A file: through the process's own descriptor, whose place in the file moves along."""
    handle = _fetch(pid)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)


def _send(pid: int, data: bytes) -> None:
    with socket.socket(fileno=_fetch(pid)) as peer:
        peer.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _fetch(pid: int) -> int:
    process = os.pidfd_open(pid)
    try:
        return linux.fetch_descriptor(process, _STDERR)
    finally:
        os.close(process)


def line(verdict: Verdict) -> bytes:
    """One line, with nothing in it that could move a terminal's cursor."""
    text = f"firewall: blocked: {verdict.reason} (rule {verdict.rule})"
    if verdict.remedy:
        text += f"; to allow it: {verdict.remedy}"
    plain = "".join(each if each.isprintable() else " " for each in text)
    return plain.encode(errors="backslashreplace")[: LIMIT - 1] + b"\n"
