"""gRPC messages (gRPC's PROTOCOL-HTTP2.md, "Length-Prefixed-Message") that carry a stream.

A tunnel over gRPC (gost dialer/grpc, Xray's gun) wraps each piece in a message of a single bytes
field (Protocol Buffers encoding.md, wire type 2), so these are taken off and the pieces joined.
"""

_PREFIX = 5
_VARINT_LIMIT = 5
_BYTES = 2


class Pieces:
    """The payloads of those messages that are one bytes field; others are skipped."""

    def __init__(self) -> None:
        self._head = b""
        self._skip = 0
        self._take = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces in `data`."""
        pieces = []
        while data:
            if self._skip:
                count = min(self._skip, len(data))
                self._skip -= count
                data = data[count:]
            elif self._take:
                pieces.append(data[: self._take])
                data = data[self._take :]
                self._take -= len(pieces[-1])
            else:
                data = self._read_head(data)
        return pieces

    def _read_head(self, data: bytes) -> bytes:
        """Add a byte to the message's head; what is left of `data` is returned."""
        self._head += data[:1]
        head = self._head
        if len(head) >= _PREFIX:
            size = int.from_bytes(head[1:_PREFIX])
            field = head[_PREFIX:]
            if head[0] != 0 or not size or (field and field[0] & 7 != _BYTES):
                self._begin(skip=size - len(field))
            elif len(field) >= 2 and field[-1] < 0x80:
                self._measure(size, field)
            elif len(field) > _VARINT_LIMIT:
                self._begin(skip=size - len(field))
        return data[1:]

    def _measure(self, size: int, field: bytes) -> None:
        length = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(field[1:]))
        if len(field) + length == size:
            self._begin(take=length)
        else:
            self._begin(skip=size - len(field))

    def _begin(self, *, skip: int = 0, take: int = 0) -> None:
        self._head = b""
        self._skip, self._take = max(skip, 0), take
