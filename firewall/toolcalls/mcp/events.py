"""Server-sent events that carry messages; all else in them passes as it is."""

import re
from collections.abc import Iterator

from firewall.frozen import frozen
from firewall.toolcalls.mcp.session import LIMIT
from firewall.toolcalls.wire.sse import Events

_END = re.compile(rb"\r\n|\n|\r")


@frozen
class Event:
    """One event; `data` is the message that it carries, b"" for none."""

    raw: bytes
    data: bytes

    def carrying(self, data: bytes) -> bytes:
        """Its bytes with this message in the place of its own; none where that is withheld."""
        if data == self.data:
            return self.raw
        if not data:
            return b""
        lines = [line for line in _END.split(self.raw) if line and not _is_data(line)]
        return b"\n".join([*lines, b"data: " + data.rstrip(b"\n"), b"", b""])


class Stream:
    """Cuts a stream into events. Raises ValueError for one that is longer than a message."""

    def __init__(self) -> None:
        self._events = Events()

    def feed(self, data: bytes) -> Iterator[Event]:
        for event in self._events.feed(data):
            yield Event(event.raw, (event.data or "").encode())
        if self._events.size > LIMIT:
            raise ValueError(f"the MCP server sent an event over {LIMIT} bytes")


def _is_data(line: bytes) -> bool:
    return line.removeprefix(b"\xef\xbb\xbf").partition(b":")[0] == b"data"
