"""The kernel's side of the exec gate: seccomp's user notifications.

Formats: linux/seccomp.h (struct seccomp_notif, seccomp_notif_resp, the SECCOMP_IOCTL_NOTIF_ calls);
manual: seccomp_unotify(2).
"""

import errno
import fcntl
import os
import platform
import select
import struct

from firewall.frozen import frozen
from firewall.sandbox import linux
from firewall.sandbox.seccomp import EXECUTES, exec_filter

_NEW_LISTENER = 1 << 3
_WAIT_KILLABLE_RECV = 1 << 5
"""Linux 5.19: a signal that does not kill leaves a call that was told of waiting."""

_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_STILL_VALID = 0x40082102
_CONTINUE = 1
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")


@frozen
class Notice:
    """A call that waits. `thread` is the caller's thread as the host sees it."""

    id: int
    thread: int
    at: bool
    arguments: tuple[int, ...]


def install() -> int:
    """Have every further execve of this process and its children told of; the listener.

    Raises OSError; EBUSY where such a listener is there already, as in some container runtimes.
    """
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE_RECV, _NEW_LISTENER):
        try:
            return linux.listening_filter(flags, exec_filter())
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    raise OSError(errno.EINVAL, "the kernel knows no seccomp listeners")


def receive(listener: int) -> Notice | None:
    """The next call that waits; None where it was killed meanwhile. Blocks where there is none."""
    buffer = bytearray(_NOTICE.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    number, thread, _, call, _, _, *arguments = _NOTICE.unpack(buffer)
    return Notice(number, thread, EXECUTES[platform.machine()][call], tuple(arguments))


def still_waits(listener: int, notice: Notice) -> bool:
    """Whether the caller still waits: what was read of it in between is its own."""
    try:
        fcntl.ioctl(listener, _STILL_VALID, struct.pack("=Q", notice.id))
    except OSError:
        return False
    return True


def let_go_on(listener: int, notice: Notice) -> bool:
    """Let the call go on; whether it still waited."""
    return _answer(listener, _ANSWER.pack(notice.id, 0, 0, _CONTINUE))


def fail(listener: int, notice: Notice, code: int) -> bool:
    """Make the call fail with an errno; whether it still waited."""
    return _answer(listener, _ANSWER.pack(notice.id, 0, -code, 0))


def _answer(listener: int, answer: bytes) -> bool:
    try:
        fcntl.ioctl(listener, _SEND, bytearray(answer))
    except OSError:
        return False
    return True


def let_all_go_on(listener: int) -> None:
    """Judge nothing, until the last process behind the listener is gone; closes the listener.

    For a sandbox that holds no agent: a trial of this machine.
    """
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    while not poller.poll()[0][1] & select.POLLHUP:
        if (notice := receive(listener)) is not None:
            let_go_on(listener, notice)
    os.close(listener)


def supported() -> bool:
    """Whether the kernel can tell of calls in the form that is read here (Linux 5.0)."""
    notice, answer, _ = linux.notification_sizes()
    return (notice, answer) == (_NOTICE.size, _ANSWER.size)
