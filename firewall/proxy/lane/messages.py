"""HTTP/1.1 messages as the lane passes them on: which heads it takes, how bodies are framed.

What it takes is one thing by any parser's reading. All else goes to depth, which judges it too.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Literal

from firewall.frozen import frozen
from firewall.protocols import ProtocolError
from firewall.protocols.http1 import BASIC_FIELDS, AnswerHead, Head
from firewall.protocols.http1body import Body, Chunked, Counted, Open
from firewall.proxy.handover import Handover
from firewall.proxy.http import asking
from firewall.proxy.http.pages import Page
from firewall.proxy.http.watching import HELD_BACK, BodyWatch
from firewall.requests import Direction, Finding, HttpRequest
from firewall.vault import Vault

type Fields = Sequence[tuple[bytes, bytes]]

NO_CONTENT = 204
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

DISCARD_LIMIT = 16 << 20
"""Bytes of a refused request's body that are read, so that its client comes to read the answer."""

_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"expect"})
"""Request fields for the next hop alone (RFC 9110, 7.6.1 and 10.1.1)."""
_ANSWER_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection"})
_NONE: frozenset[bytes] = frozenset()
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
"""RFC 9110, 8.6, and RFC 9112, 6.1: a 204 has neither, whatever its server says."""
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110, 9.2.2."""
_BARE = _IDEMPOTENT - {"PUT"}
"""Methods whose content has no meaning of its own (RFC 9110, 9.3)."""


def fits(head: Head) -> bool:
    """Whether the lane knows all that a request's head asks for."""
    if head.version != "HTTP/1.1" or not head.target.startswith("/"):
        return False
    if head.method == "CONNECT" or head.values(b"upgrade"):
        return False
    expected = [each.lower() for each in head.values(b"expect")]
    return expected in ([], [b"100-continue"])


def wants_close(head: Head | AnswerHead) -> bool:
    """Whether the connection ends with this message (RFC 9112, 9.6)."""
    return head.version != "HTTP/1.1" or b"close" in head.options


@frozen
class Onward:
    """How an allowed request goes on: its head as it is sent, whether its connection ends with it,
    whether it may be sent again, and whether it ties its server's connection to the client."""

    data: bytes
    closes: bool
    repeatable: bool
    ties: bool


def onward(head: Head) -> Onward:
    """How the request of a head goes on."""
    return Onward(request_bytes(head), wants_close(head), repeatable(head), ties(head))


def described(head: Head, scheme: Literal["http", "https"]) -> asking.Head:
    """A head as it is judged."""
    stated = [each.decode("latin-1") for each in head.values(b"host")]
    return asking.Head(head.method, scheme, head.target, head.version, head.headers, stated)


def asked(head: Head, given: Handover, vault: Vault) -> HttpRequest:
    """What the request of a flow asks for."""
    told = described(head, "https" if given.protocol == "tls" else "http")
    return asking.ask(told, given.host, given.port, given.sni, vault)


def expects_continue(head: Head) -> bool:
    return bool(head.values(b"expect"))


def ties(head: Head) -> bool:
    """Whether a connection that carried this request is for its client alone from now on.

    A server may know the client by it (RFC 4559, 6), or have taken the content of a request that
    need not have any for another request (RFC 9110, 9.3.1), whose answer is still to come.
    """
    framed = head.values(b"content-length") or head.values(b"transfer-encoding")
    if framed and head.method in _BARE:
        return True
    schemes = [each[:9].lower() for each in head.values(b"authorization")]
    return any(each.startswith((b"negotiate", b"ntlm")) for each in schemes)


def repeatable(head: Head) -> bool:
    """Whether a request may be sent again where a kept connection turns out to be closed."""
    bare = not head.values(b"content-length") and not head.values(b"transfer-encoding")
    return bare and head.method in _IDEMPOTENT


def request_bytes(head: Head) -> bytes:
    """An allowed request's head as it is sent on."""
    first = f"{head.method} {head.target} HTTP/1.1".encode("utf-8", "surrogateescape")
    return _head(first, _without(head.headers, _HOP | head.options))


@lru_cache(maxsize=64)
def answer_bytes(answer: AnswerHead, *, close: bool) -> bytes:
    """A response's head as it is sent on. Remembered, as heads are (protocols.http1)."""
    hop = _ANSWER_HOP | (answer.options - BASIC_FIELDS)
    fields = _without(answer.headers, hop | (_FRAMING if answer.status == NO_CONTENT else _NONE))
    if close:
        fields.append((b"Connection", b"close"))
    return _head(b"HTTP/1.1 %d %b" % (answer.status, answer.reason), fields)


def page_bytes(page: Page, *, bare: bool, close: bool) -> bytes:
    """An answer of our own; `bare` where a HEAD request must get no content."""
    body = b"" if bare else page.body
    fields = [*page.fields.items(), ("Content-Length", str(len(body)))]
    fields += [("Connection", "close")] if close else []
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    first = f"HTTP/1.1 {page.status} {page.reason}"
    return _head(first.encode(), encoded) + body


def request_body(head: Head) -> Body:
    if head.values(b"transfer-encoding"):
        return Chunked()
    lengths = head.values(b"content-length")
    return Counted(int(lengths[0]) if lengths else 0)


def answer_body(method: str, answer: AnswerHead) -> Body:
    """How a response's body is framed (RFC 9112, 6.3)."""
    if method == "HEAD" or answer.status in (204, 304):
        return Counted(0)
    if answer.values(b"transfer-encoding"):
        return Chunked()
    lengths = answer.values(b"content-length")
    return Counted(int(lengths[0])) if lengths else Open()


class Half:
    """One direction of an exchange: its body is cut out, watched, and framed anew."""

    def __init__(
        self, direction: Direction, head: Head | AnswerHead, body: Body, vault: Vault
    ) -> None:
        self.body = body
        self._direction: Direction = direction
        self._head = head
        self._chunked = isinstance(body, Chunked)
        self._watch: BodyWatch | None = None
        self._vault = vault
        self._held_back = b""

    def take(self, data: bytes) -> tuple[bytes, tuple[Finding, ...]]:
        """What is sent on of the data, and what was found in it. Raises ProtocolError.

        While the watch is `busy` all of it waits, and `go_on` comes before the next.
        """
        content = self.body.feed(data)
        findings = self._watched(content) if content else ()
        if self._chunked:
            content = b"%x\r\n%b\r\n" % (len(content), content) if content else b""
            content += LAST_CHUNK if self.body.finished else b""
        return self._released(content), findings

    @property
    def busy(self) -> bool:
        """Whether more is to be looked at of what was taken last."""
        return self._watch is not None and self._watch.busy

    def go_on(self) -> tuple[bytes, tuple[Finding, ...]]:
        """Look at more of it: what is sent on now, and what was found."""
        findings = self._watch.go_on() if self._watch is not None else ()
        return self._released(b""), findings

    def end(self) -> bytes:
        """What is sent on when the stream ends here. Raises ProtocolError where it must not."""
        self.body.end()
        return self._released(LAST_CHUNK if self._chunked else b"")

    def _released(self, data: bytes) -> bytes:
        """What may go on: nothing while it ends within what may be a secret, or is looked at."""
        data = self._held_back + data
        begun = self._watch is not None and self._watch.begun and not self.body.finished
        waits = self.busy or (begun and len(data) <= HELD_BACK)
        self._held_back = data if waits else b""
        return b"" if waits else data

    def _watched(self, content: bytes) -> tuple[Finding, ...]:
        if self._watch is None:
            encoding, kind = self._value(b"content-encoding"), self._value(b"content-type")
            self._watch = BodyWatch(self._direction, self._vault, encoding, kind)
        return self._watch.feed(content)

    def _value(self, name: bytes) -> str:
        return b", ".join(self._head.values(name)).decode("latin-1")


class Rest:
    """What is left of a request's body whose answer is complete: read off and dropped."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._dropped = 0

    @property
    def too_long(self) -> bool:
        return self._dropped > DISCARD_LIMIT

    def drop(self, data: bytes) -> bytes | None:
        """What follows the body, once it is complete. One that is not sound never is."""
        self._dropped += len(data)
        try:
            self._body.feed(data)
        except ProtocolError:
            self._body = Open()
        return self._body.rest if self._body.finished else None


def _without(fields: Fields, names: AbstractSet[bytes]) -> list[tuple[bytes, bytes]]:
    return [field for field in fields if field[0].lower() not in names]


def _head(first: bytes, fields: Fields) -> bytes:
    lines = [b"%b: %b\r\n" % field for field in fields]
    return b"%b\r\n%b\r\n" % (first, b"".join(lines))
