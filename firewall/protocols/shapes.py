"""How binary protocols begin: what each of the first bytes may be, and what they mean together."""

from collections.abc import Callable

from firewall.frozen import frozen
from firewall.protocols.identity import MORE, More
from firewall.requests import Confidence, FindingKind

type Shape = tuple[bytes, ...]
"""Each item lists what its byte may be; b"" is any."""

type Length = int | More | None
"""How many bytes an opening takes; MORE while that is open; None where it is another protocol."""

ANY = b""


def fixed(data: bytes) -> Shape:
    """The shape of exactly these bytes."""
    return tuple(bytes([byte]) for byte in data)


@frozen
class Opening:
    """One protocol's first bytes.

    What fits `shape` is then read by `read`, which sees all bytes there are and says how many of
    them the opening takes; without it the shape alone decides.
    """

    kind: FindingKind
    name: str
    evidence: str
    shape: Shape
    read: Callable[[bytes], Length] | None = None
    confidence: Confidence = "certain"

    @property
    def first(self) -> bytes:
        """What the first byte may be."""
        return self.shape[0]

    def match(self, data: bytes) -> Length:
        """How many bytes of `data` the opening takes."""
        for allowed, byte in zip(self.shape, data, strict=False):
            if allowed and byte not in allowed:
                return None
        if len(data) < len(self.shape):
            return MORE
        return self.read(data) if self.read else len(self.shape)


_DISTINCT = 0.72
_PRINTABLE = 0.15, 0.62
_ONES = 0.40, 0.60


def looks_random(data: bytes) -> bool:
    """Whether bytes look encrypted: no text, no zeros in rows, as many ones as noughts.

    Meant for 32 to 64 bytes. Of random ones about 1 in 10,000 is turned away; compressed data looks
    the same.
    """
    size = len(data)
    distinct = len(set(data)) / size
    printable = sum(0x20 <= byte < 0x7F for byte in data) / size
    ones = int.from_bytes(data).bit_count() / (8 * size)
    return (
        distinct >= _DISTINCT
        and _PRINTABLE[0] <= printable <= _PRINTABLE[1]
        and _ONES[0] <= ones <= _ONES[1]
    )
