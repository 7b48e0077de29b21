"""Both directions of one stream, each watched, and together."""

from firewall.protocols.flights import Flights
from firewall.protocols.watch import Watch
from firewall.requests import Direction, Finding


class Conversation:
    """Watches a bare stream in both directions.

    `carrier` is "tcp stream", "tls stream" or, for what an SSH forward carries, "ssh stream".
    """

    def __init__(self, carrier: str) -> None:
        self._watches: dict[Direction, Watch] = {
            "sent": Watch(carrier, "sent", pair=self._pair),
            "received": Watch(carrier, "received", pair=self._pair),
        }
        self._flights = Flights()
        self._inner: dict[int, Flights] = {}

    def feed(self, direction: Direction, data: bytes) -> tuple[Finding, ...]:
        """The findings that `data` completes. Feed both directions in the order they come."""
        found = self._watches[direction].feed(data)
        return found if self._flights.finished else found + self._flights.feed(direction, data)

    def _pair(self, depth: int, direction: Direction, data: bytes) -> tuple[Finding, ...]:
        """What both directions of a stream inside this one, `depth` streams down, tell together."""
        return self._inner.setdefault(depth, Flights()).feed(direction, data)

    def side(self, direction: Direction) -> "Side":
        """One direction of it, to be fed by whoever moves that direction's bytes."""
        return Side(self, direction)


class Side:
    """One direction of a conversation."""

    def __init__(self, conversation: Conversation, direction: Direction) -> None:
        self._conversation = conversation
        self._direction: Direction = direction

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        """The findings that `data` completes."""
        return self._conversation.feed(self._direction, data)
