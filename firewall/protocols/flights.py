"""What only both directions together tell: handshakes of random bytes.

Stratum V2's Noise handshake (sv2-spec 04-Protocol-Security.md 4.5; stratum sv2/noise-sv2) is an
ElligatorSwift key of 64 bytes, answered by exactly 234: key 64, encrypted key 80, certificate 90.
It is known by these lengths alone, so a peer that pads, or whose answer comes in the same flight as
more, hides. Other protocols without any structure (BIP 324, obfs4, Shadowsocks, BitTorrent's
encryption) cannot be told apart; they are only suspicious.
"""

from firewall.protocols.shapes import looks_random
from firewall.requests import Direction, Finding

_HEAD = 64
_NOISE = (64, 234)
_TLS = b"\x16\x03"


class Flights:
    """Watches the first flight of each direction of a bare stream."""

    def __init__(self) -> None:
        self._heads: dict[Direction, bytes] = {"sent": b"", "received": b""}
        self._sizes: dict[Direction, int] = {"sent": 0, "received": 0}
        self._turn: Direction = "sent"
        self._random: bool | None = None
        self.finished = False

    def feed(self, direction: Direction, data: bytes) -> tuple[Finding, ...]:
        """What these bytes, in the order of both directions, complete."""
        if self.finished or not data:
            return ()
        if direction != self._turn and not self._turn_over(direction):
            return self._conclude()
        self._sizes[direction] += len(data)
        self._heads[direction] = (self._heads[direction] + data)[:_HEAD]
        return self._judge_heads() if self._random is None else ()

    def _turn_over(self, direction: Direction) -> bool:
        """The other side speaks: False once each has had its first flight."""
        self._turn = direction
        return direction == "received" and self._sizes["sent"] > 0

    def _judge_heads(self) -> tuple[Finding, ...]:
        client, server = self._heads["sent"], self._heads["received"]
        if min(len(client), len(server)) < _HEAD:
            return ()
        self._random = looks_random(client) and looks_random(server) and not client.startswith(_TLS)
        self.finished = not self._random
        if not self._random:
            return ()
        evidence = "both sides begin with random bytes, as BIP 324, obfs4 and Shadowsocks do"
        where = "first 64 bytes of each side"
        return (Finding("tunnel", "random-stream", evidence, where, "suspicious"),)

    def _conclude(self) -> tuple[Finding, ...]:
        """The client speaks again, or the server spoke first."""
        self.finished = True
        if not self._random or (self._sizes["sent"], self._sizes["received"]) != _NOISE:
            return ()
        evidence = "Noise handshake: 64 random bytes answered by 234"
        where = "first flight of each side"
        return (Finding("mining", "stratum-v2", evidence, where, "likely"),)
