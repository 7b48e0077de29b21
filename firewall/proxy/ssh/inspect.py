"""What looks at the bytes of a channel on their way."""

from typing import Protocol

from firewall.lookout import Watcher
from firewall.protocols import Conversation, Watch
from firewall.proxy.ssh.visit import Visit
from firewall.requests import Direction

SESSION = "ssh session"
FORWARD = "ssh stream"
"""What a recogniser is told that the bytes come from: a forward's may be any protocol's."""


class Inspector(Protocol):
    """Says of each piece what may be passed on (lane.Inspect), in each direction."""

    async def sent(self, data: bytes, datatype: int | None) -> bytes: ...
    async def received(self, data: bytes, datatype: int | None) -> bytes: ...


class Watched:
    """Passes everything on in which the recognisers find nothing that is blocked.

    `carrier` is SESSION or FORWARD, whose two directions are read together.
    """

    def __init__(self, visit: Visit, carrier: str) -> None:
        self._visit = visit
        self._carrier = carrier
        self._conversation = Conversation(carrier) if carrier == FORWARD else None
        self._watches: dict[tuple[Direction, int | None], Watcher] = {}

    async def sent(self, data: bytes, datatype: int | None) -> bytes:
        return await self._look("sent", data, datatype)

    async def received(self, data: bytes, datatype: int | None) -> bytes:
        return await self._look("received", data, datatype)

    async def _look(self, direction: Direction, data: bytes, datatype: int | None) -> bytes:
        await self._visit.spend(direction, len(data))
        watch = self._watches.get((direction, datatype))
        if watch is None:
            watch = self._watches[direction, datatype] = self._make(direction)
        if findings := watch.feed(data):
            await self._visit.ask_about(self._carrier, direction, findings)
        return data

    def _make(self, direction: Direction) -> Watcher:
        told = self._conversation
        watch = told.side(direction) if told is not None else Watch(self._carrier, direction)
        return self._visit.judge.vault.beside(watch, self._carrier, direction)
