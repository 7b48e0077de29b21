"""The line that a refused program's caller finds on its standard error."""

import fcntl
import os
import select
import socket
import stat

from firewall.sandbox import linux
from firewall.verdict import Verdict

LIMIT = 1500
"""Bytes of the line: less than PIPE_BUF, so that a pipe takes it whole or not at all (pipe(7))."""
_STDERR = 2


def tell(pid: int, verdict: Verdict) -> None:
    """Write why to the standard error of a process that waits. Never blocks. Raises OSError.

    The descriptor is fetched first, and what it is is asked of what was fetched: other threads of
    the process may put another file in its place, such as one that only the firewall may write.
    """
    handle = _fetch(pid)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISREG(mode):
            os.write(handle, line(verdict))
        elif stat.S_ISSOCK(mode):
            _send(handle, line(verdict))
        else:
            _write_anew(handle, line(verdict))
    finally:
        os.close(handle)


def _write_anew(fetched: int, data: bytes) -> None:
    """A pipe or a terminal: opened anew, so that only this writer does not wait.

    Only where the process itself may write: who opens may be root.
    """
    if fcntl.fcntl(fetched, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        return
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    handle = os.open(f"/proc/self/fd/{fetched}", flags)
    try:
        poller = select.poll()
        poller.register(handle, select.POLLOUT)
        if poller.poll(0):
            os.write(handle, data)
    finally:
        os.close(handle)


def _send(fetched: int, data: bytes) -> None:
    with socket.socket(fileno=os.dup(fetched)) as peer:
        peer.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _fetch(pid: int) -> int:
    process = os.pidfd_open(pid)
    try:
        return linux.fetch_descriptor(process, _STDERR)
    finally:
        os.close(process)


def line(verdict: Verdict) -> bytes:
    """One line, with nothing in it that could move a terminal's cursor."""
    owner = f", owner {verdict.owner}" if verdict.owner else ""
    text = f"firewall: blocked: {verdict.reason} (rule {verdict.rule}{owner})"
    if verdict.remedy:
        text += f"; to allow it: {verdict.remedy}"
    plain = "".join(each if each.isprintable() else " " for each in text)
    return plain.encode(errors="backslashreplace")[: LIMIT - 1] + b"\n"
