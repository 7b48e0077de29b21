"""Judge a stream's first bytes, and follow what they wrap: SOCKS, CONNECT, WebSocket, gRPC.

Whoever reads the outer stream goes on reading it too: one direction alone cannot tell whether the
other side agreed, and a refused handshake must not blind the watch.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from firewall.protocols import http1, http2, openings, socks, tls
from firewall.protocols.candidates import Recogniser, first_answer
from firewall.protocols.content import Content
from firewall.protocols.heads import inspect_response
from firewall.protocols.http1body import Counted
from firewall.protocols.identity import MORE, Answer, Identity, More
from firewall.protocols.marks import MakeReader, Mark, Reader
from firewall.protocols.proxyheader import header_end
from firewall.protocols.websocket import Frames
from firewall.requests import Direction, Finding

_UPGRADE = re.compile(rb"(?i)\r?\nupgrade:[ \t]*websocket[ \t]*\r?\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] [1-5][0-9][0-9][ \r]")
_ANSWERS = re.compile(_ANSWER.pattern + rb"|\0")
"""A server that speaks as one: a status line, or the first frame of HTTP/2."""
_AGREED = re.compile(rb"HTTP/1\.[01] (?:101|2)")
_BODY = re.compile(rb"(?i)\r?\n(?:content-length|content-type|transfer-encoding):")
_LENGTH = re.compile(rb"(?i)\r?\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r?\n")
_ENCODING = re.compile(rb"(?i)\r?\ncontent-encoding:[ \t]*([^\r\n]{1,100})\r?\n")
_CHUNKED = re.compile(rb"(?i)\r?\ntransfer-encoding:")
_CHUNK = re.compile(rb"\r?\n?([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]{0,256})?\r?\n")
_CHUNK_LINE = 300
"""Bytes within which the size of a chunk shows."""
_LEAD, _CHUNK_SIZE = 4, 12
"""Bytes before a body's first message: a byte order mark or an empty line, a chunk's size."""
REVERSED = {
    "tls": ("reverse-tls", "the server sends a ClientHello"),
    "http": ("reverse-http", "the server sends an HTTP request"),
    "http-connect": ("reverse-http", "the server sends an HTTP request"),
    "http2": ("reverse-http", "the server sends a client's HTTP/2 preface"),
}
"""What a server says where the roles are reversed, as behind localtunnel's lib/TunnelCluster.js."""

_INSIDE = {"tls": "TLS ClientHello", "http": "HTTP request", "http2": "HTTP/2 preface"}


def recognise_answer(data: bytes) -> Answer:
    """An HTTP server's answer, which may agree to an upgrade or to CONNECT (RFC 9110 9.3.6)."""
    if not _ANSWER.match(data):
        return MORE if b"HTTP/1.".startswith(data[:7]) and len(data) < 13 else None
    end = http1.find_head_end(data)
    return MORE if end is None else Identity("http", findings=_inspect_answer(data[:end]))


def _inspect_answer(head: bytes) -> tuple[Finding, ...]:
    fields = (line.partition(b":") for line in head.split(b"\n")[1:])
    return inspect_response((name, value) for name, _, value in fields)


def recognise_socks_server(data: bytes) -> Answer:
    """A server's part of a SOCKS handshake; `Opening` finds its end."""
    end = socks.server_handshake_end(data)
    return Identity("socks") if isinstance(end, int) else end


def recognise_proxied(data: bytes) -> Answer:
    """A header of the PROXY protocol; what is behind it is read as a stream of its own."""
    end = header_end(data)
    return Identity("unknown") if isinstance(end, int) else end


_FROM_CLIENT = (
    http2.recognise,
    socks.recognise,
    openings.recognise,
    recognise_proxied,
    http1.recognise,
)
_FROM_SERVER = (
    recognise_socks_server,
    openings.recognise_server,
    recognise_answer,
    http2.recognise_server,
    http2.recognise,
    tls.recognise,
    http1.recognise,
)
"""The last three as clients speak: a server that does asks for what is behind its client."""

_MESSAGES: dict[Direction, tuple[Recogniser, ...]] = {
    "sent": (tls.recognise, *_FROM_CLIENT),
    "received": (tls.recognise, *_FROM_CLIENT, openings.recognise_server),
}
"""Either side may begin what is inside of messages, and some servers do so in ways of theirs."""
_FILES = (tls.recognise, http2.recognise)
"""A body may be any file, so few bytes say little there."""

_EAGER = 4 << 10
_EVERY = 256
"""Bytes after which a head is looked at only when a line ends, or every so many bytes."""

_OPENERS: dict[tuple[str, Direction], tuple[Recogniser, ...]] = {
    ("tcp stream", "sent"): _FROM_CLIENT,
    ("tcp stream", "received"): _FROM_SERVER,
    ("tls stream", "sent"): (tls.recognise, *_FROM_CLIENT),
    ("tls stream", "received"): _FROM_SERVER,
    ("ssh stream", "sent"): (tls.recognise, *_FROM_CLIENT),
    ("ssh stream", "received"): _FROM_SERVER,
    ("http body", "sent"): _FILES,
    ("http body", "received"): _FILES,
}
"""What a carrier's first bytes may open; for any other, that of messages by their direction."""


class Opening:
    """Judges the first bytes of what a carrier carries, and unwraps what they open."""

    def __init__(self, carrier: str, direction: Direction, start: int, make: MakeReader) -> None:
        self._carrier = carrier
        self._direction: Direction = direction
        self._start = start
        self._make = make
        self._openers = _OPENERS.get((carrier, direction), _MESSAGES[direction])
        self._head: bytes | None = b""
        self._read = 0
        self._inner: Callable[[bytes], list[Mark]] | None = None
        self.web = False
        """Whether HTTP frames what follows: words mean there what they mean on the web."""
        self._body: tuple[int, float] = (0, 0)

    @property
    def finished(self) -> bool:
        """Whether nothing can be found here any more."""
        return self._head is None and self._inner is None

    def quotes(self, at: int) -> bool:
        """Whether what begins there stands in the middle of an HTTP body, as in any text file."""
        start, end = self._body
        return start <= at < end

    def feed(self, data: bytes) -> list[Mark]:
        """What the opening gives away, then what is inside does."""
        if self._inner:
            return self._inner(data)
        if self._head is None or not (self._head or data):
            return []
        self._head += data
        if not self._due(len(data), b"\n" in data):
            return []
        answer = first_answer(self._openers, self._head[: http1.LIMIT])
        if answer is MORE and len(self._head) < http1.LIMIT:
            return []
        head, self._head = self._head, None
        return self._judge(answer, head) if isinstance(answer, Identity) else []

    def _due(self, size: int, line: bool) -> bool:
        """Whether to look again: at a long head only now and then, or bytes cost by its square."""
        read = len(self._head or b"")
        return read <= _EAGER or line or read % _EVERY < size

    def _judge(self, identity: Identity, head: bytes) -> list[Mark]:
        if identity.protocol == "http2" and self._carrier.endswith("stream"):
            found = [Mark(self._start, each) for each in self._inside(identity, head)]
            return found + self._multiplexed(head)
        end = http1.find_head_end(head) if identity.protocol.startswith("http") else None
        findings = (*map(self._weighed, identity.findings), *self._inside(identity, head))
        marks = [Mark(self._start + (end or 0), finding) for finding in findings]
        self.web = end is not None and bool(_BODY.search(head, 0, end))
        if self.web and end is not None:
            length = _LENGTH.search(head, 0, end)
            start = self._start + end
            lead = _LEAD + _CHUNK_SIZE * bool(_CHUNKED.search(head, 0, end))
            self._body = start + lead, start + int(length[1]) if length else float("inf")
        self._inner = self._wrapped(identity, head, end)
        return marks + (self._inner(head) if self._inner else [])

    def _multiplexed(self, head: bytes) -> list[Mark]:
        """HTTP/2: its frames are read apart, so that what looks like lines in them is quoted."""
        from firewall.protocols.http2stream import Http2  # 30 ms, which few streams need

        begun = len(http2.PREFACE) if head.startswith(http2.PREFACE) else 0
        start = self._start + begun
        self.web, self._body = True, (start, float("inf"))
        self._inner = _Skipped(begun, Http2(self._direction, start, self._make).feed).feed
        return self._inner(head)

    def _weighed(self, finding: Finding) -> Finding:
        """Few bytes are less certain at the start of a message than at the start of a stream."""
        if self._carrier.endswith("stream") or finding.confidence == "suspicious":
            return finding
        return replace(finding, confidence="suspicious" if finding.name == "socks" else "likely")

    def _inside(self, identity: Identity, head: bytes) -> tuple[Finding, ...]:
        """A whole protocol inside a message is a tunnel by itself, whatever it is for; and so is
        one that a server speaks as a client does."""
        what = _INSIDE.get(identity.protocol)
        raw = self._carrier.endswith("stream")
        where = f"first bytes, {self._direction}"
        asks = raw and self._direction == "received" and not _ANSWERS.match(head)
        if asks and (reverse := REVERSED.get(identity.protocol)):
            return (Finding("tunnel", *reverse, where, "likely"),)
        if what is None or (raw and identity.protocol != "tls"):
            return ()
        carrier = self._carrier.removesuffix(" stream").replace(" ", "-")
        evidence = f"{what} inside a {self._carrier}"
        return (Finding("tunnel", f"{identity.protocol}-in-{carrier}", evidence, where, "likely"),)

    def _wrapped(
        self, identity: Identity, head: bytes, end: int | None
    ) -> Callable[[bytes], list[Mark]] | None:
        if identity.protocol == "socks":
            return _Handshake(self._direction, self._start, self._make).feed
        if identity.protocol == "unknown" and isinstance(behind := header_end(head), int):
            return _Skipped(behind, self._make("tcp stream", self._start + behind).read).feed
        if end is None or not self._carrier.endswith("stream"):
            return None
        feed = self._after_head(identity, head, end)
        return _Skipped(end, feed).feed if feed else None

    def _after_head(
        self, identity: Identity, head: bytes, end: int
    ) -> Callable[[bytes], list[Mark]] | None:
        """What reads what follows a head of HTTP/1: another protocol that it leads to, or its
        content."""
        start, received = self._start + end, self._direction == "received"
        agreed = not received or bool(_AGREED.match(head))
        if agreed and _UPGRADE.search(head, 0, end):
            return _Unframed(start, self._make, received).feed
        if identity.protocol == "http-connect":
            return self._make("tcp stream", start).read
        if framing := _framing(head, end):
            coded = _ENCODING.search(head, 0, end)
            encoding = coded[1].decode("latin-1") if coded else ""
            return _Framed(framing, start, Content(self._make, start, encoding)).feed
        if received and agreed and not _BODY.search(head, 0, end):
            return self._make("tcp stream", start).read
        return None


def _framing(head: bytes, end: int) -> "_Chunks | Counted | None":
    """How a message's content is framed, where its head says so (RFC 9112, 6.3)."""
    if _CHUNKED.search(head, 0, end):
        return _Chunks()
    length = _LENGTH.search(head, 0, end)
    return Counted(int(length[1])) if length else None


class _Chunks:
    """What stands in chunks (RFC 9112, 7.1), read as leniently as anybody may: it is only looked
    at. Ends at the last chunk, or at what is none."""

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        held, at = self._held + data, 0
        pieces: list[bytes] = []
        while at < len(held) and not self.finished:
            if self._left:
                pieces.append(held[at : at + self._left])
                self._left -= len(pieces[-1])
                at += len(pieces[-1])
            elif size := _CHUNK.match(held, at):
                self._left, at = int(size[1], 16), size.end()
                self.finished = not self._left
            else:
                self.finished = len(held) - at > _CHUNK_LINE
                break
        self._held = held[at:]
        return b"".join(pieces)


class _Framed:
    """Reads the content of one message of HTTP/1, whose chunks may cut it in pieces; what follows
    it only the stream's own reader sees."""

    def __init__(self, framing: "_Chunks | Counted", start: int, content: Content) -> None:
        self._framing = framing
        self._read = start
        self._content = content

    def feed(self, data: bytes) -> list[Mark]:
        self._read += len(data)
        if self._framing.finished:
            return []
        found = self._content.read(self._framing.feed(data))
        return [replace(mark, end=min(mark.end, self._read)) for mark in found]


class _Skipped:
    """Passes on what comes after so many bytes."""

    def __init__(self, count: int, feed: Callable[[bytes], list[Mark]]) -> None:
        self._left = count
        self._feed = feed

    def feed(self, data: bytes) -> list[Mark]:
        taken = min(self._left, len(data))
        self._left -= taken
        return self._feed(data[taken:] if taken else data)


class _Handshake:
    """Waits for the end of a SOCKS handshake, then reads what comes after it."""

    def __init__(self, direction: Direction, start: int, make: MakeReader) -> None:
        self._direction = direction
        self._start = start
        self._make = make
        self._head: bytes | None = b""
        self._reader: Reader | None = None

    def feed(self, data: bytes) -> list[Mark]:
        if self._reader:
            return self._reader.read(data)
        if self._head is None:
            return []
        self._head += data
        sent = self._direction == "sent"
        end = (socks.client_handshake_end if sent else socks.server_handshake_end)(self._head)
        if isinstance(end, More):
            return []
        head, self._head = self._head, None
        return self._go_on(head, end) if end is not None else []

    def _go_on(self, head: bytes, end: int) -> list[Mark]:
        self._reader = self._make("tcp stream", self._start + end)
        return [*self._told(end), *self._reader.read(head[end:])]

    def _told(self, end: int) -> list[Mark]:
        """The client's half is proof by itself; the server's alone may be chance."""
        if self._direction == "received":
            return []
        where = f"client bytes {self._start}-{self._start + end - 1}"
        finding = Finding("tunnel", "socks", "SOCKS handshake up to its request", where)
        return [Mark(self._start + end, finding)]


class _Unframed:
    """Takes WebSocket frames off and reads the messages.

    `agreed` says that it is the server who speaks, after it has agreed to the upgrade: what it then
    says in no frames is another protocol.
    """

    def __init__(self, start: int, make: MakeReader, agreed: bool) -> None:
        self._start = start
        self._frames = Frames()
        self._reader = make("websocket", 0)
        self._agreed = agreed
        self._read = 0

    def feed(self, data: bytes) -> list[Mark]:
        marks = []
        for piece in self._frames.feed(data):
            shift = self._start + piece.start - self._read
            self._read += len(piece.data)
            found = self._reader.read(piece.data, end=piece.last)
            latest = self._start + piece.end
            marks += [replace(mark, end=min(mark.end + shift, latest)) for mark in found]
        return marks + self._broken()

    def _broken(self) -> list[Mark]:
        at = self._frames.broken_at
        if not self._agreed or at is None:
            return []
        self._agreed = False
        evidence = "the server agrees to a WebSocket, and speaks something else"
        where = f"server bytes from {self._start + at}"
        finding = Finding("tunnel", "websocket-misused", evidence, where, "likely")
        return [Mark(self._start + at, finding)]
