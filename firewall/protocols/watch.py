"""Follow one direction of an open stream for its whole life."""

from collections.abc import Callable, Iterable, Iterator

from firewall.protocols.early import Early
from firewall.protocols.jsonstream import Cut, Documents, Lines, may_begin
from firewall.protocols.marks import Mark
from firewall.protocols.mining.hints import Hints
from firewall.protocols.mining.messages import inspect_json
from firewall.protocols.unwrap import Opening
from firewall.requests import Confidence, Direction, Finding

_FINDINGS_LIMIT = 64
"""Findings of one stream; each is told once, so that no peer can flood the log."""

_DEPTH_LIMIT = 4
"""Streams inside each other that are opened; deeper ones are read as they come."""


type Pair = Callable[[int, Direction, bytes], tuple[Finding, ...]]
"""Given how many streams are around one, a direction of it, and bytes: what both tell together."""


class Watch:
    """Finds mining and tunnels in one direction of a stream.

    `carrier` is the `Message.carrier` it is reported under. "http body", "websocket" and "grpc"
    carry whole documents: only these count as messages, text that quotes one does not. "tcp stream"
    and "tls stream" are bare sockets, where a message may begin at any line. Feed it from the first
    byte on, and do not attach it to a flow that is known, and allowed, to be SSH.

    Each finding is told once. The findings do not depend on how the bytes are cut up. Single
    messages beyond 64 KiB are not read.

    A watch of bytes inside another stream starts at byte `start` of that one; `depth` counts the
    streams around it. `pair` is told what streams inside carry, to look at both directions.
    """

    def __init__(
        self,
        carrier: str,
        direction: Direction,
        *,
        start: int = 0,
        depth: int = 0,
        pair: Pair | None = None,
    ) -> None:
        self._carrier = carrier
        self._direction: Direction = direction
        self._raw = carrier.endswith("stream")
        self._depth = depth
        self._start = start
        self._pair = pair
        self._message = 1
        hints = None if self._raw else Hints
        self._documents = Documents(anywhere=self._raw, start=start, hints=hints)
        self._lines = Lines(start=start) if self._raw else None
        self._read_line = -1
        self._early = Early(anywhere=self._raw, start=start)
        deep = depth >= _DEPTH_LIMIT
        self._opening = None if deep else Opening(carrier, direction, start, self._inside)
        self._told: set[tuple[str, ...]] = set()
        self._settled = False

    def feed(self, data: bytes, *, end: bool = False) -> tuple[Finding, ...]:
        """The findings that `data` completes.

        `end` says that a WebSocket message or an HTTP body ends here; another may follow.
        """
        if self._settled and not end and self._documents.put_off(data):
            self._early.skip(len(data))
            return ()
        return tuple(mark.finding for mark in self.read(data, end=end))

    def read(self, data: bytes, *, end: bool = False) -> list[Mark]:
        """The same with the offsets at which they became certain."""
        marks = [*self._feed_opening(data), *self._feed_early(data), *self._feed_json(data)]
        if self._pair and self._depth and self._raw:
            paired = self._pair(self._depth, self._direction, data)
            marks += [Mark(self._start, finding) for finding in paired]
        self._settled = self._is_settled()
        if end:
            self._message += 1
            self._documents.restart()
            self._early.restart()
            self._settled = False
        return self._tell(marks) if marks else []

    def _is_settled(self) -> bool:
        """Whether only JSON can be found in the rest of this body or message."""
        opened = self._opening is None or self._opening.finished
        return opened and not self._raw and self._early.finished

    def _inside(self, carrier: str, start: int) -> "Watch":
        depth = self._depth + 1
        return Watch(carrier, self._direction, start=start, depth=depth, pair=self._pair)

    def _feed_opening(self, data: bytes) -> Iterable[Mark]:
        return self._opening.feed(data) if self._opening else ()

    def _feed_early(self, data: bytes) -> Iterator[Mark]:
        if found := self._early.feed(data):
            sign = found.sign
            where = self._where(found.start, found.end)
            yield Mark(found.end, Finding(sign.kind, sign.name, sign.evidence, where))

    def _feed_json(self, data: bytes) -> Iterator[Mark]:
        raw = self._raw and not (self._opening and self._opening.web)
        for cut in self._cut(data):
            where = self._where(cut.start, cut.end)
            quoted = self._opening is not None and self._opening.quotes(cut.start)
            confidence: Confidence = "suspicious" if quoted else "certain"
            for sign in inspect_json(cut.text, raw=raw):
                found = Finding(sign.kind, sign.name, sign.evidence, where, confidence)
                yield Mark(cut.end, found)

    def _cut(self, data: bytes) -> list[Cut]:
        """Documents, and the lines that do not begin with one: those were read already."""
        if not self._lines:
            return self._documents.feed(data)
        if self._lines.idle and self._documents.idle and not may_begin(data):
            self._lines.skip(len(data))
            self._documents.skip(len(data))
            return []
        documents = self._documents.feed(data)
        read = {self._read_line, *(cut.start for cut in documents)}
        lines = [line for line in self._lines.feed(data) if line.start not in read]
        self._read_line = self._lines.kept if self._lines.kept in read else -1
        return documents + lines

    def _where(self, start: int, end: int) -> str:
        if not self._raw and self._carrier != "http body":
            return f"message {self._message}, {self._direction}"
        side = "client" if self._direction == "sent" else "server"
        return f"{side} bytes {start}-{end - 1}"

    def _tell(self, marks: list[Mark]) -> list[Mark]:
        told = []
        for mark in sorted(marks, key=lambda mark: mark.end):
            finding = mark.finding
            key = (finding.kind, finding.name, finding.evidence, finding.confidence)
            if key not in self._told and len(self._told) < _FINDINGS_LIMIT:
                self._told.add(key)
                told.append(mark)
        return told
