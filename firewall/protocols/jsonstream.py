"""Cut JSON objects and batches out of byte streams, in bounded memory.

Two readers, because peers delimit in two ways. `Documents` counts brackets, so it reads values
that span lines or share one; `Lines` takes every line by itself, so that a value which never ends
cannot hide the lines after it.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

LIMIT = 64 << 10
"""Bytes of one value. Longer ones are skipped unread: no mining message comes near."""

_BLANK = rb"[\s\x00\x1e\xef\xbb\xbf]"
"""What may stand between values: JSON's blanks, and NUL, record separators, byte order marks."""

_BLANKS = re.compile(rb"%b*+" % _BLANK)
_OTHER = re.compile(rb"%b*+[^{\[]" % _BLANK)
"""What begins with something else than a value."""
_LINE_START = re.compile(rb"\n%b*+(?=[{\[])" % _BLANK)
_BEGIN = re.compile(rb'\{\s*+["}]|\[\s*+\{\s*+["}]')
_BEGIN_CUT = re.compile(rb"(?:\{|\[\s*+\{?)\s*+\Z")
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\\n]++|\\[^\n])*+")*+([{}\[\]])?')
_STRING_CUT = re.compile(rb'"(?:[^"\\\n]++|\\[^\n])*+\\?\Z')

_PLAIN = rb'[^"{}\[\]]++'
_STRING = rb'"(?:[^"\\\n]++|\\[^\n])*+"'


def _nested(depth: int) -> bytes:
    inner = rb"|" + _nested(depth - 1) if depth else b""
    return rb"[{\[](?:%b|%b%b)*+[}\]]" % (_PLAIN, _STRING, inner)


_SHALLOW = re.compile(_nested(4))
"""A whole value of few levels, as most messages are: what counting brackets finds, in one step."""

_RUN = re.compile(rb"(?:%b*+(?=%b)(?:%b))*+" % (_BLANK, _BEGIN.pattern, _nested(4)))
"""Such values one after another, as in newline-delimited JSON."""

_SPACE = re.compile(r"\s*+")

_MAY_BEGIN = re.compile(rb"\n%b*+(?:[{\[]|\Z)" % _BLANK)


def may_begin(data: bytes) -> bool:
    """Whether a value begins at a line's start in `data`, or may after it."""
    return _MAY_BEGIN.search(data) is not None


_NEXT = re.compile(rb"[}\]]%b*+(?:[{\[]|\Z)" % _BLANK)
"""Where one value may end and another begin: inside a value a comma parts them."""


class Hints(Protocol):
    """Says cheaply whether the bytes so far may hold anything: False is certain."""

    def feed(self, data: bytes) -> bool: ...


class Cut(NamedTuple):
    """A piece that looks like JSON: bytes `start` to `end` (exclusive) of the stream."""

    start: int
    end: int
    text: bytes


class _DoubledError(Exception):
    """A key comes twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _DoubledError
    return found


def _reversed(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _scanner(keys: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(strict=False, parse_int=float, object_pairs_hook=keys)


_USUAL, _LAST_WINS, _FIRST_WINS = _scanner(_unique), _scanner(dict), _scanner(_reversed)


def decode(text: bytes) -> list[Any]:
    """The JSON values at the start of `text`, as every parser may read them.

    Of keys that come twice some parsers take the first, some the last: where that makes a
    difference both readings are given. Numbers come as floats, since Python refuses integers of
    thousands of digits.
    """
    characters = text.decode("utf-8", "replace")
    try:
        return _values(_USUAL, characters)
    except _DoubledError:
        usual, other = (_values(each, characters) for each in (_LAST_WINS, _FIRST_WINS))
        pairs = zip(other, usual, strict=False)
        return usual + [ours for ours, theirs in pairs if _differ(ours, theirs)]


def _differ(ours: Any, theirs: Any) -> bool:
    try:
        return bool(ours != theirs)
    except RecursionError:
        return True


def _values(decoder: json.JSONDecoder, text: str) -> list[Any]:
    """All values up to the end, or to what is none."""
    values = []
    at = 0
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            values.append(value)
            at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
    except (ValueError, RecursionError):
        pass
    return values


class _Reader:
    """What both readers share: finding where a value may begin.

    A value may begin at the start of the stream, after another value, and with `anywhere` at the
    start of any line, always after blanks. `_open` says that the text at hand stands there.
    """

    def __init__(self, *, anywhere: bool, start: int = 0) -> None:
        self._anywhere = anywhere
        self._text = bytearray()
        self._offset = start
        self._open = True

    @property
    def finished(self) -> bool:
        """Whether nothing can begin any more before the stream is restarted."""
        return not (self._anywhere or self._open)

    @property
    def idle(self) -> bool:
        """Whether nothing is kept: the next value begins at a line's start in what comes."""
        return not (self._open or self._text)

    @property
    def kept(self) -> int:
        """Where in the stream begins what is kept for more bytes to come."""
        return self._offset

    def skip(self, count: int) -> None:
        """Pass over bytes in which nothing begins."""
        self._offset += count

    def _find(self, at: int) -> int:
        """The next place at or after `at` where a value may begin, or the end of the text."""
        text = self._text
        if self._open:
            at = _blanks_end(text, at)
            if at == len(text) or text[at] in b"{[":
                return at
            self._open = False
        if not self._anywhere:
            return len(text)
        if found := _LINE_START.search(text, at):
            self._open = True
            return found.end()
        last = text.rfind(b"\n", at)
        self._open = last >= 0 and _blanks_end(text, last) == len(text)
        return len(text)

    def _drop(self, count: int) -> None:
        del self._text[:count]
        self._offset += count

    def _cut(self, start: int, end: int) -> Cut:
        return Cut(self._offset + start, self._offset + end, bytes(self._text[start:end]))


def _blanks_end(text: bytearray, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


class Documents(_Reader):
    """Values by their brackets, wherever they may begin.

    With `hints`, which makes one who gives them, brackets are counted only from the first hint on:
    a body with a single value and without a hint is not cut at all.
    """

    def __init__(
        self, *, anywhere: bool, start: int = 0, hints: Callable[[], Hints] | None = None
    ) -> None:
        super().__init__(anywhere=anywhere, start=start)
        self._depth = 0
        self._scanned: int | None = None
        self._make_hints = hints
        self._hints = hints() if hints else None

    def restart(self) -> None:
        """Begin anew: another message or body follows."""
        self._drop(len(self._text))
        self._open = True
        self._depth, self._scanned = 0, None
        self._hints = self._make_hints() if self._make_hints else None

    def put_off(self, data: bytes) -> bool:
        """Whether `feed` would only keep or skip these bytes: then that is done, at less cost."""
        if self.finished:
            self._offset += len(data)
            return True
        if not self._hints or self._scanned is None or len(self._text) + len(data) >= LIMIT:
            return False
        if self._hints.feed(data):
            self._hints = None
            return False
        self._text += data
        return True

    def feed(self, data: bytes) -> list[Cut]:
        """The values that end in `data`."""
        if self.finished:
            self._offset += len(data)
            return []
        if not (self._text or self._anywhere) and _OTHER.match(data):
            self._open = False
            self._offset += len(data)
            return []
        self._text += data
        if self._hints and self._may_wait(self._hints, data):
            return []
        cuts = []
        at = 0 if self._scanned is not None else self._pass_over(0)
        while self._scanned is not None or (at := self._find(at)) < len(self._text):
            end = self._scan(at)
            if end is None:
                break
            if self._open:
                cuts.append(self._cut(at, end))
            at, self._depth, self._scanned = end, 0, None
            if len(cuts) == 1:
                at = self._pass_over(at)
        self._drop(at)
        if self._scanned is not None:
            self._scanned -= at
        return cuts

    def _pass_over(self, at: int) -> int:
        """Where the first value that may hold something begins, at most the last one: many small
        ones cost hundreds of times what their bytes do."""
        text = self._text
        if not self._make_hints or not self._open or self._make_hints().feed(bytes(text[at:])):
            return at
        while (run := _RUN.match(text, at, at + LIMIT)) and run.end() > at:
            at = run.end()
        return at

    def _may_wait(self, hints: Hints, data: bytes) -> bool:
        """Whether the value at hand need not be read yet, or, beyond the limit, not at all."""
        if not hints.feed(data):
            if self._scanned is None:
                return False
            if len(self._text) < LIMIT:
                return True
            if not _NEXT.search(self._text, 0, LIMIT):
                self._open, self._scanned = False, None
                self._drop(len(self._text))
                return True
        self._hints = None
        return False

    def _scan(self, start: int) -> int | None:
        """Where the value at `start` ends, or where it proves to be none: then `_open` is False.

        None when more bytes are needed.
        """
        limit = start + LIMIT
        if self._scanned is None:
            if not _BEGIN.match(self._text, start, limit):
                return self._give_up(
                    start + 1, unless=_BEGIN_CUT.match(self._text, start), limit=limit
                )
            if not self._hints and (whole := _SHALLOW.match(self._text, start, limit)):
                return whole.end()
            self._scanned = start
        if self._hints:
            return None
        return self._balance(self._scanned, limit)

    def _balance(self, at: int, limit: int) -> int | None:
        """Count brackets from `at` on. A raw newline in a string makes the value none."""
        text, depth = self._text, self._depth
        while (run := _TO_BRACKET.match(text, at, limit)) and run.lastindex:
            at = run.end()
            depth += 1 if text[at - 1] in b"{[" else -1
            if not depth:
                return at
        self._depth = depth
        at = run.end() if run else at
        self._scanned = at
        if at < min(len(text), limit) and not _STRING_CUT.match(text, at, limit):
            return self._give_up(at + 1, unless=False, limit=limit)
        return self._give_up(limit, unless=True, limit=limit)

    def _give_up(self, at: int, *, unless: object, limit: int) -> int | None:
        """End a value as none, unless it may still become one within its limit."""
        if unless and len(self._text) < limit:
            return None
        self._open = False
        return at


class Lines(_Reader):
    """Lines that begin like a value."""

    def __init__(self, *, start: int = 0) -> None:
        super().__init__(anywhere=True, start=start)

    def feed(self, data: bytes) -> list[Cut]:
        """The lines that end in `data`."""
        self._text += data
        cuts = []
        at = 0
        while (at := self._find(at)) < len(self._text):
            end = self._text.find(b"\n", at)
            if end < 0 and len(self._text) - at <= LIMIT:
                break
            end = len(self._text) if end < 0 else end
            if end - at <= LIMIT and _BEGIN.match(self._text, at, end):
                cuts.append(self._cut(at, end))
            at, self._open = end, False
        self._drop(at)
        return cuts
