"""The gate's end of the depth process, which is started when it is first needed.

A quarantine ends its flows by retiring it.
"""

import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from firewall.deeds import Deed
from firewall.proxy import handover
from firewall.proxy.handover import Handover, Setup
from firewall.proxy.link import Link, Report
from firewall.proxy.loop import Loop

BACKLOG = 8192
"""Flows that may wait for the depth process to take them; more are refused by closing them."""


class InDepth(Protocol):
    """What serves flows in depth, as a gate sees it: its own process, or that of all workers."""

    @property
    def idle(self) -> bool: ...
    def give(self, flow: Handover, client: socket.socket) -> bool: ...
    def tell(self, done: tuple[Deed, ...]) -> None: ...
    def say(self, kind: str, body: dict[str, Any]) -> None: ...
    def update(self) -> None: ...
    def retire(self) -> None: ...
    def close(self) -> None: ...


class DepthLink(Link):
    """Hands flows over by descriptor and passes the depth process's reports on."""

    program = "firewall.proxy.depthstart"
    what = "the depth process"

    def __init__(self, loop: Loop, setup: Callable[[], Setup], report: Report) -> None:
        super().__init__(loop, setup, report)
        self._backlog: deque[tuple[Handover, socket.socket]] = deque()

    def give(self, flow: Handover, client: socket.socket) -> bool:
        """Hand a flow over and close our copy of its socket; False when the queue is full."""
        if len(self._backlog) >= BACKLOG:
            return False
        self._backlog.append((flow, client))
        self._flush()
        return True

    def retire(self) -> None:
        """End all flows, also those on their way; the next one starts another process."""
        self._drop_backlog()
        super().retire()

    def close(self) -> None:
        self._drop_backlog()
        super().close()

    def _send_waiting(self, channel: socket.socket) -> None:
        super()._send_waiting(channel)
        while self._backlog:
            flow, client = self._backlog[0]
            handover.send(channel, "flow", handover.encode(flow), (client.fileno(),))
            self._backlog.popleft()
            client.close()

    def _gone(self) -> None:
        """Flows that came meanwhile go to another process."""
        self._report("retired", {"waiting": len(self._backlog)})
        if self._backlog:
            self._flush()

    def _died(self) -> None:
        """What waited ends too; the next flow starts another process."""
        self._drop_backlog()
        super()._died()

    def _drop_backlog(self) -> None:
        for _, client in self._backlog:
            client.close()
        self._backlog.clear()
