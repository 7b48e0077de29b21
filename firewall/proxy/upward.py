"""A worker's end of the channel to its gate: what it reports, and the flows that it gives away.

To the worker's gate it is what the depth process is to others: flows that need it go up, for there
is one depth process for all.
"""

import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from firewall.deeds import Deed
from firewall.events import suspected
from firewall.metrics import Metrics
from firewall.proxy import handover
from firewall.proxy.depthlink import BACKLOG
from firewall.proxy.handover import Handover
from firewall.proxy.loop import READ, WRITE, Loop
from firewall.proxy.reports import shortened
from firewall.proxy.ways import Road

logger = logging.getLogger(__name__)

REPORTS = 100_000
"""That may wait for the gate; of more, verdicts are dropped, as their records exist anyway."""


class Upward:
    """Sends to the gate on the loop's thread, in order and without ever waiting for it.

    `ended` is called where the gate can be told no more.
    """

    def __init__(self, loop: Loop, channel: socket.socket, ended: Callable[[], None]) -> None:
        self._loop = loop
        self._ended = ended
        self._channel = channel
        self._waiting: deque[tuple[str, dict[str, Any], socket.socket | None]] = deque()
        self._given = 0

    def send(self, kind: str, body: dict[str, Any]) -> None:
        """Report something. Any thread may call this."""
        self._loop.post(lambda: self._send(kind, body, None))

    def give(self, flow: Handover, client: socket.socket) -> bool:
        """Give a flow to the depth process and close our copy of its socket; False when too many
        wait."""
        return self._give("flow", handover.encode(flow), client)

    def question(self, client: socket.socket, road: Road) -> None:
        """Give away a client that asks for names."""
        if not self._give("question", asdict(road), client):
            client.close()

    def say(self, kind: str, body: dict[str, Any]) -> None:
        """Report something, on the loop's thread."""
        self._send(kind, body, None)

    def tell(self, done: tuple[Deed, ...]) -> None:
        """Tell what was done, for the rules of all others."""
        self._send("deeds", handover.encode_deeds(done), None)

    def last(self, kind: str, body: dict[str, Any]) -> None:
        """Report something when the loop runs no more: what cannot be sent now is lost."""
        self.drain()
        with contextlib.suppress(OSError):
            handover.send(self._channel, kind, body)

    def drain(self) -> None:
        """Send what waits, before the channel is closed: what cannot be sent now is lost."""
        self._channel.settimeout(1.0)
        with contextlib.suppress(OSError):
            while self._waiting:
                self._send_first()

    def flush(self) -> None:
        """Send what waits, as far as the channel takes it."""
        try:
            while self._waiting:
                self._send_first()
        except BlockingIOError:
            self._loop.change(self._channel.fileno(), READ | WRITE)
        except OSError as error:
            # The gate has ended, or cannot be told: then nothing may go on here.
            logger.error("the gate cannot be told what it must know (%s); every flow ends", error)
            self._waiting.clear()
            self._ended()
        else:
            self._loop.change(self._channel.fileno(), READ)

    def _give(self, kind: str, body: dict[str, Any], client: socket.socket) -> bool:
        if self._given >= BACKLOG:
            return False
        self._given += 1
        self._send(kind, body, client)
        return True

    def _send(self, kind: str, body: dict[str, Any], client: socket.socket | None) -> None:
        if kind == "verdict" and len(self._waiting) >= REPORTS:
            return
        self._waiting.append((kind, body, client))
        if len(self._waiting) == 1:
            self.flush()

    def _send_first(self) -> None:
        kind, body, client = self._waiting[0]
        fds = () if client is None else (client.fileno(),)
        handover.send(self._channel, kind, body, fds)
        self._waiting.popleft()
        if client is not None:
            self._given -= 1
            client.close()

    # What the depth process is told, the gate tells it

    @property
    def idle(self) -> bool:
        """Always, as it is another's process."""
        return True

    def update(self) -> None:
        """Nothing: the gate has sent the policy to all."""

    def retire(self) -> None:
        """Nothing: the gate ends the depth process's flows."""

    def close(self) -> None:
        """Nothing: the channel is closed with the process."""


class Witness:
    """Counts what is allowed, and tells the gate at once of all else (ports.Witness)."""

    def __init__(self, up: Upward, metrics: Metrics, *, live: bool) -> None:
        self._up = up
        self._metrics = metrics
        self._live = live

    def verdict(self, event: Mapping[str, Any], seconds: float) -> None:
        if self._live or event["verdict"]["action"] != "allow" or suspected(event):
            self._up.send("verdict", {"event": shortened(event), "seconds": seconds})
        else:
            self._metrics.verdict(event, seconds)
