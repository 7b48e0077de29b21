"""Who is behind each flow, found off the gate's thread.

One look at the sandbox's processes answers every flow that waits, so that a burst of connections
costs a few looks and not one each.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Protocol

from firewall.actor import Actor
from firewall.frozen import frozen

logger = logging.getLogger(__name__)

type Endpoint = tuple[str, int]
type Found = Callable[[Actor], None]
type Transport = Literal["tcp", "udp"]

BURST = 1024
MANY = 5
"""Flows from which on one look is for many."""
BETWEEN_SECONDS = 0.006
"""From the beginning of a look for many to that of the next: a look costs more than its flows,
and those that come meanwhile share one. Who comes with few others is looked for at once."""


class Finder(Protocol):
    """Finds the processes of flows, each given as (client address, destination)."""

    def find(
        self, flows: Sequence[tuple[Endpoint, Endpoint]], transport: Transport
    ) -> list[Actor]: ...


@frozen
class _Asked:
    client: Endpoint
    destination: Endpoint
    transport: Transport
    found: Found


class Actors:
    """Asks a finder on one helper thread; `found` runs on the loop's thread."""

    def __init__(
        self, sandbox: str, finder: Finder, post: Callable[[Callable[[], None]], None]
    ) -> None:
        self._sandbox = sandbox
        self._finder = finder
        self._post = post
        self._asked: list[_Asked] = []
        self._queue: queue.SimpleQueue[list[_Asked] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def find(self, client: Endpoint, destination: Endpoint, found: Found) -> None:
        """Find who holds a TCP connection's client end."""
        self._ask(_Asked(client, destination, "tcp", found))

    def find_udp(self, client: Endpoint, destination: Endpoint, found: Found) -> None:
        """Find who sent a datagram."""
        self._ask(_Asked(client, destination, "udp", found))

    def close(self) -> None:
        self._queue.put(None)

    def _ask(self, asked: _Asked) -> None:
        """Gather what one turn of the loop asks for, so that one look answers it."""
        self._asked.append(asked)
        if len(self._asked) == 1:
            self._post(self._send)

    def _send(self) -> None:
        """The thread starts with the first question: most of a node's sandboxes are idle."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="actors", daemon=True)
            self._thread.start()
        self._queue.put(self._asked)
        self._asked = []

    def _work(self) -> None:
        due = 0.0
        while (first := self._queue.get()) is not None:
            time.sleep(max(0.0, due - time.monotonic()))
            burst, last = self._burst(first)
            due = time.monotonic() + BETWEEN_SECONDS if len(burst) >= MANY else 0.0
            for transport in ("tcp", "udp"):
                self._answer([each for each in burst if each.transport == transport], transport)
            if last:
                return

    def _burst(self, first: list[_Asked]) -> tuple[list[_Asked], bool]:
        burst = first
        while len(burst) < BURST:
            try:
                asked = self._queue.get_nowait()
            except queue.Empty:
                break
            if asked is None:
                return burst, True
            burst += asked
        return burst, False

    def _answer(self, burst: Sequence[_Asked], transport: Transport) -> None:
        if burst:
            for asked, actor in zip(burst, self._find(burst, transport), strict=True):
                self._post(partial(asked.found, actor))

    def _find(self, burst: Sequence[_Asked], transport: Transport) -> list[Actor]:
        """Evidence may be missing; a verdict may not: a failure is an unknown actor."""
        try:
            flows = [(asked.client, asked.destination) for asked in burst]
            return self._finder.find(flows, transport)
        except Exception as error:
            logger.exception("the processes behind %d flows were not found", len(burst))
            return [Actor(self._sandbox, unknown=f"the search failed: {error}")] * len(burst)
