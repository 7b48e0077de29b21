"""Follow one direction of an open stream for its whole life."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from firewall.protocols import http1, openings, socks, ssh
from firewall.protocols.identity import MORE, Answer, Identity
from firewall.protocols.jsonstream import Cut, Documents, Lines
from firewall.protocols.mining.messages import inspect_json
from firewall.protocols.websocket import Frames
from firewall.requests import Direction, Finding

_BANNER_WINDOW = 4 << 10
"""Bytes in which an SSH banner may come after other lines."""

_FINDINGS_LIMIT = 64
"""Findings of one stream; each is told once, so that no peer can flood the log."""

_OPENERS: tuple[Callable[[bytes], Answer], ...] = (
    socks.recognise,
    openings.recognise,
    http1.recognise,
)
_UPGRADE = re.compile(rb"(?i)\r?\nupgrade:[ \t]*websocket[ \t]*\r?\n")
_SWITCHED = re.compile(rb"HTTP/1\.1 101[ \r]")


@dataclass(frozen=True, slots=True)
class _Mark:
    """A finding and the offset at which it became certain, which puts findings in order."""

    end: int
    finding: Finding


class Watch:
    """Finds mining and tunnels in one direction of a stream.

    `carrier` is the `Message.carrier` it is reported under. "http body" and "websocket" carry whole
    documents: only these count as messages, text that quotes one does not. "tcp stream" and "tls
    stream" are bare sockets, where a message may begin at any line. Feed it from the first byte
    on, and do not attach it to a flow that is known, and allowed, to be SSH.

    Each finding is told once. The findings do not depend on how the bytes are cut up. Not read are
    single messages beyond 64 KiB and compressed ones.
    """

    def __init__(self, carrier: str, direction: Direction) -> None:
        self._carrier = carrier
        self._direction: Direction = direction
        self._raw = carrier.endswith("stream")
        self._message = 1
        self._documents = Documents(anywhere=self._raw)
        self._lines = Lines() if self._raw else None
        self._latest = -1
        self._banner = _Banner(anywhere=self._raw)
        self._opening = _Opening(direction) if self._raw else None
        self._told: set[tuple[str, str, str]] = set()

    def feed(self, data: bytes, *, end: bool = False) -> tuple[Finding, ...]:
        """The findings that `data` completes.

        `end` says that a WebSocket message or an HTTP body ends here; another may follow.
        """
        marks = [*self._feed_opening(data), *self._feed_banner(data), *self._feed_json(data)]
        if end:
            self._message += 1
            self._documents.restart()
            self._banner.restart()
        return self._tell(marks) if marks else ()

    def _feed_opening(self, data: bytes) -> Iterable[_Mark]:
        return self._opening.feed(data) if self._opening else ()

    def _feed_banner(self, data: bytes) -> Iterator[_Mark]:
        if found := self._banner.feed(data):
            start, end, banner = found
            tool = "chisel" if b"chisel" in banner else "ssh"
            evidence = f"SSH banner {banner.decode()}"
            yield _Mark(end, Finding("tunnel", tool, evidence, self._where(start, end)))

    def _feed_json(self, data: bytes) -> Iterator[_Mark]:
        for cut in self._cut(data):
            where = self._where(cut.start, cut.end)
            for sign in inspect_json(cut.text, raw=self._raw):
                yield _Mark(cut.end, Finding(sign.kind, sign.name, sign.evidence, where))

    def _cut(self, data: bytes) -> list[Cut]:
        """Documents, and the lines that do not begin with one: those were read already."""
        documents = self._documents.feed(data)
        if not self._lines:
            return documents
        read = {self._latest, *(cut.start for cut in documents)}
        self._latest = documents[-1].start if documents else self._latest
        return documents + [line for line in self._lines.feed(data) if line.start not in read]

    def _where(self, start: int, end: int) -> str:
        if self._carrier == "websocket":
            return f"message {self._message}, {self._direction}"
        side = "client" if self._direction == "sent" else "server"
        return f"{side} bytes {start}-{end - 1}"

    def _tell(self, marks: list[_Mark]) -> tuple[Finding, ...]:
        told = []
        for mark in sorted(marks, key=lambda mark: mark.end):
            finding = mark.finding
            key = (finding.kind, finding.name, finding.evidence)
            if key not in self._told and len(self._told) < _FINDINGS_LIMIT:
                self._told.add(key)
                told.append(finding)
        return tuple(told)


class _Banner:
    """Looks for an SSH banner at the start of a message, or with `anywhere` of any early line."""

    def __init__(self, *, anywhere: bool) -> None:
        self._anywhere = anywhere
        self._head = b""
        self._read = 0

    def restart(self) -> None:
        """Another message follows."""
        self._head = b""

    def feed(self, data: bytes) -> tuple[int, int, bytes] | None:
        """Start, end and text of a banner that `data` completes; the first one only."""
        if self._read >= _BANNER_WINDOW:
            return None
        data = data[: _BANNER_WINDOW - self._read]
        self._head += data
        self._read += len(data)
        find = ssh.BANNER.search if self._anywhere else ssh.BANNER.match
        found = find(self._head)
        if not found:
            return None
        before = self._read - len(self._head)
        self._read = _BANNER_WINDOW
        return before + found.start(1), before + found.end(1), found[1]


class _Opening:
    """Judges a bare stream's first bytes, and unwraps the WebSocket that they may open.

    The other readers see those bytes too: one direction alone cannot tell whether the server
    agreed to the upgrade, and a refused one must not blind the watch.
    """

    def __init__(self, direction: Direction) -> None:
        self._openers = _OPENERS if direction == "sent" else (_recognise_switch,)
        self._direction: Direction = direction
        self._head: bytes | None = b""
        self._socket: tuple[Frames, Watch] | None = None

    def feed(self, data: bytes) -> list[_Mark]:
        """What the opening gives away, then what the WebSocket's messages do."""
        if self._socket:
            return _unwrap(*self._socket, data)
        if self._head is None:
            return []
        self._head += data
        answer = _first_answer(self._openers, self._head[: http1.LIMIT])
        if answer is MORE and len(self._head) < http1.LIMIT:
            return []
        head, self._head = self._head, None
        return self._judge(answer, head) if isinstance(answer, Identity) else []

    def _judge(self, identity: Identity, head: bytes) -> list[_Mark]:
        end = http1.find_head_end(head) if identity.protocol == "http" else None
        marks = [_Mark(end or 0, finding) for finding in identity.findings]
        if end is not None and _UPGRADE.search(head, 0, end):
            self._socket = Frames(), Watch("websocket", self._direction)
            marks += _unwrap(*self._socket, head[end:])
        return marks


def _unwrap(frames: Frames, watch: Watch, data: bytes) -> list[_Mark]:
    found = (watch.feed(piece.data, end=piece.last) for piece in frames.feed(data))
    return [_Mark(0, finding) for findings in found for finding in findings]


def _first_answer(openers: tuple[Callable[[bytes], Answer], ...], data: bytes) -> Answer:
    answers = (opener(data) for opener in openers)
    return next((answer for answer in answers if answer is not None), None)


def _recognise_switch(data: bytes) -> Answer:
    """A server that agrees to an upgrade (RFC 6455 section 4.2.2)."""
    if not _SWITCHED.match(data):
        return MORE if len(data) < len(b"HTTP/1.1 101 ") else None
    return MORE if http1.find_head_end(data) is None else Identity("http")
