"""What every far end offers: take a batch and say so, or not take it and say why."""

from collections.abc import Sequence
from typing import Protocol

from firewall.audit.ship.tail import Item


class NotTakenError(Exception):
    """The far end did not acknowledge a batch, so all of it is sent again.

    `after` is how many seconds it asked to be left alone, None where it did not say.
    """

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class Sink(Protocol):
    """A far end."""

    def send(self, items: Sequence[Item]) -> int:
        """Return when the far end has all items; how many of them it refused for good.

        Raises NotTakenError where it may not have them, and OSError where the network fails.
        """

    def close(self) -> None:
        """Leave the far end."""
