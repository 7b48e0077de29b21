"""How connections are taken from listeners: as they come, or shared among workers."""

import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

from firewall import judge as door
from firewall.judge import Judge, fail_closed
from firewall.proxy.loads import Loads
from firewall.proxy.loop import READ, Loop
from firewall.proxy.relay import keep_alive, reset_on_close
from firewall.verdict import Verdict

logger = logging.getLogger(__name__)

BURST = 64
PAUSE_SECONDS = 0.1
LEAVE_SECONDS = 0.001
"""How long a worker leaves a connection to those that have fewer flows."""

type Arrived = Callable[[socket.socket, Any], None]
"""Called with an accepted socket and its client's address."""


class Accepting:
    """Takes connections on a loop. Those that must wait do so in the kernel's accept queue."""

    def __init__(self, loop: Loop, judge: Judge) -> None:
        self._loop = loop
        self._judge = judge
        self._listeners: list[socket.socket] = []

    def listen(
        self, listener: socket.socket, arrived: Arrived, is_full: Callable[[], bool]
    ) -> None:
        """Take what comes to a listener, except while `is_full`."""
        listener.setblocking(False)
        keep_alive(listener)
        self._listeners.append(listener)

        def ready(events: int) -> None:
            self._accept(listener, arrived, is_full)

        self._loop.watch(listener.fileno(), READ, ready)

    def close(self) -> None:
        """Take no more."""
        while self._listeners:
            self._loop.forget(self._listeners.pop().fileno())

    def _accept(
        self, listener: socket.socket, arrived: Arrived, is_full: Callable[[], bool]
    ) -> None:
        for _ in range(BURST):
            if is_full():
                self._pause(listener, PAUSE_SECONDS)
                return
            if not self._accept_one(listener, arrived):
                return

    def _accept_one(self, listener: socket.socket, arrived: Arrived) -> bool:
        """False where there was none."""
        try:
            client, address = listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            self._not_accepted(listener, error)
            return False
        with fail_closed(self._judge, "gate.accept", _closer(client)):
            door.probe("gate.accept")
            arrived(client, address)
        return True

    def _not_accepted(self, listener: socket.socket, error: OSError) -> None:
        """Without descriptors what waits goes on waiting; else it was one connection's trouble."""
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
            logger.warning("connections wait: %s", error)
            self._pause(listener, PAUSE_SECONDS)

    def _pause(self, listener: socket.socket, seconds: float) -> None:
        self._loop.change(listener.fileno(), 0)
        self._loop.after(seconds, lambda: self._go_on(listener))

    def _go_on(self, listener: socket.socket) -> None:
        if listener in self._listeners and listener.fileno() >= 0:
            self._loop.change(listener.fileno(), READ)


class Sharing(Accepting):
    """Takes connections from listeners that other workers accept from too. Who has clearly more
    flows than another leaves what comes to that one, for a moment: none waits for who is busy."""

    def __init__(self, loop: Loop, judge: Judge, loads: Loads, worker: int) -> None:
        super().__init__(loop, judge)
        self._loads = loads
        self._worker = worker
        self._left: set[socket.socket] = set()

    def _accept(
        self, listener: socket.socket, arrived: Arrived, is_full: Callable[[], bool]
    ) -> None:
        for taken in range(BURST):
            if is_full():
                self._pause(listener, PAUSE_SECONDS)
                return
            if self._loads.leads(self._worker, taken) and self._leaves(listener, taken):
                return
            if not self._accept_one(listener, arrived):
                return

    def _leaves(self, listener: socket.socket, taken: int) -> bool:
        """Whether what waits is left to others; one is taken that they have been left already."""
        if taken:
            return True
        if listener in self._left:
            self._left.discard(listener)
            return False
        self._left.add(listener)
        self._pause(listener, LEAVE_SECONDS)
        return True


def _closer(client: socket.socket) -> Callable[[Verdict], None]:
    def close(verdict: Verdict) -> None:
        reset_on_close(client)
        client.close()

    return close
