"""HTTP bodies as the recognisers see them: as sent, and decoded where they are compressed.

Decoding is for looking only and changes no byte of what is forwarded. It works in pieces and within
a budget, so that a small body cannot cost much memory or time (a "zip bomb").
"""

import time
from collections.abc import Iterator

from firewall.protocols import Watch
from firewall.protocols.codings import DECODE_ERRORS, chain, decoders
from firewall.protocols.grpc import Pieces
from firewall.requests import Direction, Finding
from firewall.vault import Vault

CARRIER = "http body"
GRPC = "application/grpc"
"""gRPC's PROTOCOL-HTTP2.md: followed by a format, if at all."""
FREE = 16 << 20
RATIO = 100
"""A body may decode to FREE bytes plus RATIO times its size."""
HONEST = 20
"""Times its size that honest text decodes to at most, but for what repeats itself."""
LOOKED_SECONDS = 0.25
"""Of CPU in which a body that decodes to more than honest text does may be looked at: text made of
what recognisers look for twice costs hundreds of times what others do, and all flows wait for it.
Zeros take this long for 70 MiB."""
SLICE_SECONDS = 0.005
"""Of CPU in which a body is looked at before other flows have their turn."""
HELD_BACK = 64 << 10
"""Bytes that wait at most because a secret may have begun in them."""


class BodyWatch:
    """Watches one body in one direction for its whole length.

    The bytes are always watched as sent too: a server may ignore what Content-Encoding says. What
    they decode to may be much: while the watch is `busy` with it, `go_on` comes before the next
    `feed`, and the bytes wait.
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
        self._inside = (
            vault.stream(f"decoded {CARRIER}", direction) if self._decoders else self._secrets
        )
        self._unpacking: Iterator[bytes] | None = None
        self._read = 0
        self._made = 0
        self._looked = 0.0

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        """What these bytes gave away so far."""
        found = self._raw.feed(data) + self._secrets.feed(data)
        for piece in self._pieces.feed(data) if self._pieces else ():
            found += self._streamed.feed(piece)
        if self._decoders and data:
            self._read += len(data)
            self._unpacking = chain(self._decoders, data)
            found += self.go_on()
        return found

    @property
    def busy(self) -> bool:
        """Whether more is to be looked at of what was fed last."""
        return self._unpacking is not None

    def go_on(self) -> tuple[Finding, ...]:
        """What was found in a further slice of time."""
        found: tuple[Finding, ...] = ()
        until = time.thread_time() + SLICE_SECONDS
        while self._unpacking is not None:
            found += self._unpack(self._unpacking)
            if time.thread_time() >= until:
                break
        return found

    @property
    def begun(self) -> bool:
        """Whether a secret may have begun, of which the next bytes tell more."""
        return self._secrets.begun or (bool(self._decoders) and self._inside.begun)

    def _unpack(self, pieces: Iterator[bytes]) -> tuple[Finding, ...]:
        """Look at the next piece."""
        try:
            piece = next(pieces, None)
        except DECODE_ERRORS:
            piece, self._decoders = None, []
        if piece is None:
            self._unpacking = None
            return ()
        return self._weigh(piece)

    def _weigh(self, piece: bytes) -> tuple[Finding, ...]:
        self._made += len(piece)
        if self._explodes():
            self._decoders, self._unpacking = [], None
            return self._bomb()
        return self._look(piece)

    def _explodes(self) -> bool:
        dear = self._looked > LOOKED_SECONDS and self._made > HONEST * self._read
        return dear or self._made > FREE + RATIO * self._read

    def _look(self, piece: bytes) -> tuple[Finding, ...]:
        since = time.thread_time()
        found = self._decoded.feed(piece) + self._inside.feed(piece)
        self._looked += time.thread_time() - since
        return found

    def _bomb(self) -> tuple[Finding, ...]:
        """An agent has no honest use for sending one; a server's sparse file may look like one."""
        if self._direction == "received":
            return ()
        evidence = f"{self._read} bytes decode to {self._made} and more"
        return (Finding("protocol-mismatch", "compression-bomb", evidence, CARRIER),)
