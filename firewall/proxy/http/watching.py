"""HTTP bodies as the recognisers see them: as sent, and decoded where they are compressed.

Decoding is for looking only and changes no byte of what is forwarded. It works in pieces and within
a budget, so that a small body cannot cost much memory or time (a "zip bomb").
"""

from firewall.protocols import Watch
from firewall.protocols.codings import DECODE_ERRORS, chain, decoders
from firewall.protocols.grpc import Pieces
from firewall.requests import Direction, Finding
from firewall.vault import Vault

CARRIER = "http body"
GRPC = "application/grpc"
"""gRPC's PROTOCOL-HTTP2.md: followed by a format, if at all."""
FREE = 2 << 20
RATIO = 100
"""A body may decode to FREE bytes plus RATIO times its size, or to what takes as long to look at:
a tenth of a second for each piece that comes. Honest text stays below 20 times."""


HELD_BACK = 64 << 10
"""Bytes that wait at most because a secret may have begun in them."""


class BodyWatch:
    """Watches one body in one direction for its whole length.

    The bytes are always watched as sent too: a server may ignore what Content-Encoding says.
    """

    def __init__(
        self, direction: Direction, vault: Vault, encoding: str, content_type: str = ""
    ) -> None:
        self._direction = direction
        self._raw = Watch(CARRIER, direction)
        self._decoders = decoders(encoding)
        self._decoded = Watch(CARRIER, direction) if self._decoders else self._raw
        self._pieces = Pieces() if content_type.lower().startswith(GRPC) else None
        self._streamed = Watch("grpc", direction) if self._pieces else self._raw
        self._secrets = vault.stream(CARRIER, direction)
        self._inside = vault.stream(f"decoded {CARRIER}", direction)
        self._read = 0
        self._made = 0

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        """What these bytes gave away."""
        found = self._raw.feed(data) + self._secrets.feed(data)
        for piece in self._pieces.feed(data) if self._pieces else ():
            found += self._streamed.feed(piece)
        if not self._decoders or not data:
            return found
        self._read += len(data)
        try:
            return found + self._decode(data)
        except DECODE_ERRORS:
            self._decoders = []
            return found

    @property
    def begun(self) -> bool:
        """Whether a secret may have begun, of which the next bytes tell more."""
        return self._secrets.begun or (bool(self._decoders) and self._inside.begun)

    def _decode(self, data: bytes) -> tuple[Finding, ...]:
        found: tuple[Finding, ...] = ()
        for piece in chain(self._decoders, data):
            self._made += len(piece)
            if self._made + self._effort > FREE + RATIO * self._read:
                self._decoders = []
                return found + self._bomb()
            found += self._decoded.feed(piece) + self._inside.feed(piece)
        return found

    @property
    def _effort(self) -> int:
        return self._decoded.effort + self._inside.effort

    def _bomb(self) -> tuple[Finding, ...]:
        """An agent has no honest use for sending one; a server's sparse file may look like one."""
        if self._direction == "received":
            return ()
        evidence = f"{self._read} bytes decode to {self._made}, and to more than can be looked at"
        return (Finding("protocol-mismatch", "compression-bomb", evidence, CARRIER),)
