"""What a channel carries is read on its way, a forward's two directions together."""

import asyncio
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from firewall.proxy.ssh.inspect import FORWARD, SESSION, Watched
from firewall.proxy.ssh.visit import Visit
from firewall.requests import Direction, Finding
from firewall.vault import Vault

RANDOM = random.Random(4)
NOISE = [RANDOM.randbytes(64), RANDOM.randbytes(234), RANDOM.randbytes(60)]


class Listener:
    """Stands for the visit: remembers what it is asked."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.judge = SimpleNamespace(vault=Vault())

    async def spend(self, direction: Direction, size: int) -> None:
        return

    async def ask_about(
        self, carrier: str, direction: Direction, findings: Sequence[Finding]
    ) -> None:
        self.told += [(carrier, direction, each.name) for each in findings]


@pytest.mark.parametrize(
    ("carrier", "told"),
    [
        (FORWARD, [(FORWARD, "received", "random-stream"), (FORWARD, "sent", "stratum-v2")]),
        (SESSION, []),
    ],
)
def test_a_handshake_shows_in_both_directions_of_a_forward(
    carrier: str, told: list[tuple[str, str, str]]
) -> None:
    listener = Listener()
    watched = Watched(cast("Visit", listener), carrier)

    async def talk() -> None:
        assert await watched.sent(NOISE[0], None) == NOISE[0]
        assert await watched.received(NOISE[1], None) == NOISE[1]
        assert await watched.sent(NOISE[2], None) == NOISE[2]

    asyncio.run(talk())
    assert listener.told == told
