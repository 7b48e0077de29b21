"""The heads of HTTP/1 messages (RFC 9112): requests recognised leniently, all parsed strictly.

`recognise` says that a stream means to be HTTP; whether its head is sound is for `parse_head` and
`parse_answer`, which accept one reading only: what two parsers could read differently is an error.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from firewall.protocols.heads import inspect_request
from firewall.protocols.identity import MORE, Answer, Identity, More, ProtocolError

LIMIT = 64 << 10
"""Bytes of a request head; nginx and Apache allow 32 and 8 KiB unless told otherwise."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_FIRST_BYTES = re.compile(rb"[\r\n]{0,8}(?:\Z|%b{1,32}(?:\Z| ))" % _TOKEN)
_REQUEST_LINE = re.compile(rb"(%b{1,32}) ([!-~\x80-\xff]+) HTTP/1\.[0-9]\r?\n" % _TOKEN)
_HEAD_END = re.compile(rb"\n\r?\n")
_STRICT_LINE = re.compile(rb"(%b{1,32}) ([!-~\x80-\xff]+) (HTTP/1\.[01])" % _TOKEN)
"""Clients send names in UTF-8 as they stand, against RFC 9112 section 3.2; all read them alike."""
_STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*))?")
FIELD = re.compile(rb"(%b+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)" % _TOKEN)
"""A header field or trailer without its line's end (RFC 9112 section 5)."""
_FIELD_LINE = re.compile(
    rb"^(%b++):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)\r\n" % _TOKEN, re.MULTILINE
)

_SHORT = 2 << 10
"""Bytes of the longest head that is remembered."""
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
"""Python would refuse to read thousands of digits; an exabyte is enough."""
BASIC_FIELDS = frozenset({b"host", b"content-length", b"transfer-encoding"})
"""What tells whom a message is for and where it ends."""


class TooLongError(ProtocolError):
    """A head is longer than `LIMIT`."""


@dataclass(frozen=True, eq=False)
class _Fields:
    """The fields of a head, which equals itself alone. `headers` keep their order and spelling;
    values come without the blanks around them. `length` counts the head's bytes: the
    body starts at `data[length:]`."""

    headers: tuple[tuple[bytes, bytes], ...]
    length: int

    def values(self, name: bytes) -> list[bytes]:
        """All values of the header `name`, which is given in lower case."""
        return self._named.get(name, [])

    @cached_property
    def options(self) -> frozenset[bytes]:
        """What Connection says, in lower case: fields named there are for the next hop alone (RFC
        9110 section 7.6.1)."""
        return _options(b",".join(self.values(b"connection")))

    @cached_property
    def _named(self) -> dict[bytes, list[bytes]]:
        named: dict[bytes, list[bytes]] = {}
        for name, value in self.headers:
            named.setdefault(name.lower(), []).append(value)
        return named


@lru_cache(maxsize=64)
def _options(connection: bytes) -> frozenset[bytes]:
    """Remembered, because nearly all messages say one of a few things."""
    return frozenset(each.strip(b" \t") for each in connection.lower().split(b",")) - {b""}


@dataclass(frozen=True, eq=False)
class Head(_Fields):
    """A request head. `version` is "HTTP/1.0" or "HTTP/1.1". Bytes of the target that are not UTF-8
    are surrogates."""

    method: str
    target: str
    version: str


@dataclass(frozen=True, eq=False)
class AnswerHead(_Fields):
    """The head of a response."""

    version: str
    status: int
    reason: bytes


def recognise(data: bytes) -> Answer:
    """Identify an HTTP/1 request once its head is complete."""
    line = _find_request_line(data)
    if line is None or isinstance(line, More):
        return line
    end = find_head_end(data)
    if end is None:
        return MORE
    return _recent_request(data[:end]) if end <= _SHORT else _identify(line, data)


@lru_cache(maxsize=128)
def _recent_request(head: bytes) -> Answer:
    """Clients begin in the same way again and again, most of all those of a proxy."""
    line = _find_request_line(head)
    return _identify(line, head) if isinstance(line, re.Match) else None


def find_head_end(data: bytes) -> int | None:
    """Where the head at the start of `data` ends and the body begins; None while it goes on."""
    end = _HEAD_END.search(data, len(data) - len(data.lstrip(b"\r\n")))
    return end.end() if end else None


def recognise_unfinished(data: bytes) -> Identity | None:
    """Identify by the request line alone: the client stopped, or its head is too long."""
    line = _find_request_line(data)
    return _identify(line, data) if isinstance(line, re.Match) else None


def _find_request_line(data: bytes) -> re.Match[bytes] | More | None:
    """The first line that is not blank (RFC 9112 section 2.2 skips blank ones)."""
    if not _FIRST_BYTES.match(data):
        return None
    start = len(data) - len(data.lstrip(b"\r\n"))
    if b"\n" not in data[start:]:
        return MORE
    return _REQUEST_LINE.match(data, start)


def _identify(line: re.Match[bytes], data: bytes) -> Identity:
    method, target = line[1].decode("ascii"), line[2].decode("latin-1")
    try:
        head = parse_head(data)
    except ProtocolError:
        head = None
    findings = inspect_request(method, target, head.headers if head else ())
    hosts = head.values(b"host") if head else []
    return Identity(
        "http-connect" if method == "CONNECT" else "http",
        findings=findings,
        host=hosts[0].decode("latin-1") if hosts else None,
    )


def parse_head(data: bytes) -> Head | None:
    """Parse the request head at the start of `data`; None while it is incomplete.

    Raises ProtocolError for a head that is malformed, ambiguous or longer than `LIMIT`.
    """
    start = 2 if data.startswith(b"\r\n") else 0
    end = _head_end(data, start, "request")
    if end is None:
        return None
    line = _STRICT_LINE.fullmatch(data, start, data.find(b"\r\n", start))
    if line is None:
        raise ProtocolError("malformed request line; write METHOD target HTTP/1.1")
    method, target, version = (part.decode("utf-8", "surrogateescape") for part in line.groups())
    head = Head(_parse_fields(data, line.end() + 2, end + 2), end + 4, method, target, version)
    _check_target(head)
    _check_options(head)
    _check_host(head)
    _check_framing(head)
    return head


def parse_answer(data: bytes) -> AnswerHead | None:
    """Parse the response head at the start of `data`; None while it is incomplete.

    Raises ProtocolError for a head that is malformed, ambiguous or longer than `LIMIT`.
    """
    end = _head_end(data, 0, "response")
    if end is None:
        return None
    return _recent_answer(data[: end + 4]) if end <= _SHORT else _answer(data, end)


def _answer(data: bytes, end: int) -> AnswerHead:
    line = _STATUS_LINE.fullmatch(data, 0, data.find(b"\r\n"))
    if line is None:
        raise ProtocolError("malformed status line; an answer begins with HTTP/1.1 and a status")
    version, status, reason = line[1].decode("ascii"), int(line[2]), line[3] or b""
    fields = _parse_fields(data, line.end() + 2, end + 2)
    head = AnswerHead(fields, end + 4, version, status, reason)
    _check_framing(head)
    return head


@lru_cache(maxsize=128)
def _recent_answer(head: bytes) -> AnswerHead:
    """Servers say the same again and again, the time included, as long as a second goes on."""
    return _answer(head, len(head) - 4)


def _head_end(data: bytes, start: int, what: str) -> int | None:
    """Where the blank line that ends a head begins; None while it goes on."""
    end = data.find(b"\r\n\r\n", start, LIMIT)
    if end < 0:
        if len(data) >= LIMIT:
            raise TooLongError(f"the {what} head is longer than {LIMIT} bytes")
        if _HEAD_END.search(data, start):
            raise ProtocolError(f"a line of the {what} head does not end with CR LF")
        return None
    return end


def _parse_fields(data: bytes, start: int, end: int) -> tuple[tuple[bytes, bytes], ...]:
    """Names are tokens, at once followed by a colon; folded lines are refused (section 5)."""
    fields: list[tuple[bytes, bytes]] = _FIELD_LINE.findall(data, start, end)
    if len(fields) != data.count(b"\n", start, end):
        lines = data[start:end].split(b"\r\n")
        number = next(at for at, line in enumerate(lines, 1) if FIELD.fullmatch(line) is None)
        raise ProtocolError(f"malformed header line {number}; write name: value")
    if b" \r\n" in data or b"\t\r\n" in data:
        return tuple((name, value.rstrip(b" \t")) for name, value in fields)
    return tuple(fields)


def _check_target(head: Head) -> None:
    """No fragment, and `*` only where it means the server (section 3.2)."""
    if "#" in head.target:
        raise ProtocolError("a fragment in the request target; leave out # and what follows it")
    if head.target == "*" and head.method != "OPTIONS":
        raise ProtocolError("only OPTIONS asks for *; write a path")


def _check_options(head: Head) -> None:
    """The next server would drop what is named, and read the message otherwise. Answers name it by
    mistake, and are framed anew."""
    if named := head.options & BASIC_FIELDS:
        raise ProtocolError(f"Connection names {min(named).decode()}, which is not for one hop")


def _check_host(head: Head) -> None:
    """Exactly one Host in HTTP/1.1, at most one in HTTP/1.0 (section 3.2)."""
    count = len(head.values(b"host"))
    if count > 1 or (count == 0 and head.version == "HTTP/1.1"):
        raise ProtocolError(f"{count} Host headers; write exactly one")


def _check_framing(head: Head | AnswerHead) -> None:
    """One way to tell where the body ends, or smuggling is possible (sections 6.1 and 6.3)."""
    lengths, codings = head.values(b"content-length"), head.values(b"transfer-encoding")
    if lengths and codings:
        raise ProtocolError("both Content-Length and Transfer-Encoding; write one of them")
    if len(lengths) > 1 or any(not _LENGTH.fullmatch(each) for each in lengths):
        raise ProtocolError("malformed Content-Length; write one decimal number")
    if codings and head.version == "HTTP/1.0":
        raise ProtocolError("HTTP/1.0 knows no Transfer-Encoding; write Content-Length")
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        raise ProtocolError("only Transfer-Encoding: chunked is understood")
