"""Server-sent events (WHATWG HTML, 9.2.5-9.2.6), each kept with its own bytes."""

import re
from collections.abc import Iterator

from firewall.frozen import frozen
from firewall.toolcalls.wire.judging import compact

_BLANK = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LINE = re.compile(r"\r\n|\n|\r")
_LONGEST_BLANK = 4
_FIELDS = ("", "data", "event", "id", "retry")


@frozen
class Event:
    """One event. `raw` are its bytes with the blank line; `data` is None where it has none.
    `others` are the lines that are no field of the format, which its readers pass over."""

    raw: bytes
    name: str = ""
    data: str | None = None
    others: tuple[str, ...] = ()


class Events:
    """Cuts a stream into events, however it arrives. `size` is what waits for its blank line."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0

    @property
    def size(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Event]:
        self._buffer += data
        while (end := _BLANK.search(self._buffer, self._searched)) is not None:
            raw = bytes(self._buffer[: end.end()])
            del self._buffer[: end.end()]
            self._searched = 0
            yield parse(raw)
        self._searched = max(0, len(self._buffer) - _LONGEST_BLANK)

    def rest(self) -> bytes:
        """What has no blank line behind it: clients drop such an event (9.2.6)."""
        return bytes(self._buffer)


def parse(raw: bytes) -> Event:
    """Read the fields of one event; all but `event` and `data` are only carried along."""
    name, data, others = "", list[str](), list[str]()
    for line in _LINE.split(raw.decode("utf-8", "replace").removeprefix("\ufeff")):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field not in _FIELDS:
            others.append(line)
    return Event(raw, name, "\n".join(data) if data else None, tuple(others))


def write(document: object, name: str = "") -> bytes:
    """An event that holds a JSON document."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {compact(document)}\n\n".encode()
