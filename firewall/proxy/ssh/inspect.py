"""What looks at the bytes of a channel on their way."""

from typing import Protocol

from firewall.protocols import Watch
from firewall.proxy.ssh.visit import Visit
from firewall.requests import Direction

SESSION = "ssh session"
FORWARD = "ssh stream"
"""What a recogniser is told that the bytes come from: a forward's may be any protocol's."""


class Inspector(Protocol):
    """Says of each piece what may be passed on; raises BlockedError to end the channel."""

    async def sent(self, data: bytes) -> bytes: ...
    async def received(self, data: bytes) -> bytes: ...


class Watched:
    """Passes everything on in which the recognisers find nothing that is blocked.

    `carrier` is SESSION or FORWARD.
    """

    def __init__(self, visit: Visit, carrier: str) -> None:
        self._visit = visit
        self._carrier = carrier
        self._watches: dict[Direction, Watch] = {
            "sent": Watch(carrier, "sent"),
            "received": Watch(carrier, "received"),
        }

    async def sent(self, data: bytes) -> bytes:
        return await self._look("sent", data)

    async def received(self, data: bytes) -> bytes:
        return await self._look("received", data)

    async def _look(self, direction: Direction, data: bytes) -> bytes:
        await self._visit.spend(direction, len(data))
        if findings := self._watches[direction].feed(data):
            await self._visit.ask_about(self._carrier, direction, findings)
        return data
