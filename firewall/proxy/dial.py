"""Open one connection to one judged address, without blocking the loop."""

import errno
import os
import socket
from collections.abc import Callable

from firewall.proxy.loop import EDGE, FAILED, READ, WRITE, Loop
from firewall.proxy.relay import keep_alive

DIAL_SECONDS = 10.0

type Dialled = Callable[[socket.socket | None, str], None]
"""Called once with the connected, non-blocking socket, or with None and the reason.

The loop watches that socket for READ | WRITE | EDGE, and its new owner is to take that over.
"""


class Dial:
    """One attempt. The address must be an IP address: nothing is resolved here."""

    __slots__ = ("_done", "_loop", "_socket", "_timer")

    def __init__(self, loop: Loop, target: tuple[str, int], done: Dialled) -> None:
        self._loop = loop
        self._done = done
        self._socket = socket.socket(_family(target[0]), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._timer = loop.after(DIAL_SECONDS, self._late)
        keep_alive(self._socket)
        loop.watch(self._socket.fileno(), READ | WRITE | EDGE, self._ready)
        code = self._socket.connect_ex(target)
        if code not in (0, errno.EINPROGRESS):
            loop.post(lambda: self._fail(code))

    def cancel(self) -> None:
        """Give up silently."""
        self._timer.cancel()
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()

    def _ready(self, events: int) -> None:
        if events & FAILED and (code := self._error()):
            self._fail(code)
            return
        self._timer.cancel()
        self._done(self._socket, "")

    def _error(self) -> int:
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _late(self) -> None:
        self._fail(errno.ETIMEDOUT)

    def _fail(self, code: int) -> None:
        if self._socket.fileno() >= 0:
            self.cancel()
            self._done(None, f"no connection: {os.strerror(code).lower()}")


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
