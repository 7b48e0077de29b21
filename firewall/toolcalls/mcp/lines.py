"""Bytes into lines, which may be as long as a message, and no longer."""

from collections.abc import Iterator

from firewall.toolcalls.mcp.session import LIMIT


class Lines:
    """Cuts a stream at its newlines, however it arrives; lines keep their newline.

    Of a longer line there is one byte more than a session reads, so that the session refuses it.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit + 1
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._add(piece + b"\n")
            yield bytes(self._buffer)
            self._buffer.clear()
        self._add(rest)

    def rest(self) -> bytes:
        """What came after the last newline."""
        return bytes(self._buffer)

    def _add(self, piece: bytes) -> None:
        self._buffer += piece[: self._limit - len(self._buffer)]
