"""Keys of known formats in bytes, as they are and decoded once (base64, hex, percent-encoding).

Nearly all bytes hold none of the words by which keys are found, in none of their forms (RFC 4648,
RFC 3986): one search for all of them, in time linear in the bytes (RE2), passes those over. Only
around such a word is anything decoded and matched.
"""

import base64
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from itertools import accumulate, islice
from operator import itemgetter
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes

from firewall.frozen import frozen
from firewall.keyformats import FORMATS, SPAN, Format

type Coding = Literal["", "base64", "base32", "hex", "percent-encoding"]

SHORTEST_NAME = 24
"""Characters of a name of DNS that can hold a key."""

LURES = 256
"""Matches of one format that are looked at in one text: with more, it is made to be looked at for
long, or to hide a key among what only looks like one."""
_BEFORE = 128
"""Bytes of a key, and of what stands in front of it, before its word."""
_BREAKS = b"\r\n"
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_UNBROKEN = re.compile(rb"[^\r\n]+")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_MEMORY = 64 << 20
"""Bytes that RE2 may use at most."""
_LETTERS = 4
"""Letters of base64 that a word is found by at least: fewer stand in every picture."""


@frozen
class Leak:
    """A key that was found. `at` is the offset of its first byte, or of its encoded text; -1 where
    an encoding leaves none that could be told."""

    format: Format
    secret: bytes
    at: int
    coding: Coding = ""


CROWD = Format("crowd", f"more than {LURES} texts in a row that look like keys", "", "", (), bool)
"""Found where more of one format would have to be looked at."""


@frozen
class _Word:
    """A form in which a key's word is written. Of its `coding`, a group begins `lead` letters
    before it."""

    form: bytes
    format: Format
    coding: Coding = ""
    lead: int = 0


@frozen
class _Runs:
    """A coding's unbroken texts, how many letters a group has and bytes it means."""

    coding: Coding
    pattern: re.Pattern[bytes]
    letters: int
    bytes_: int
    decode: Callable[[bytes], bytes]


class Finder:
    """What is looked for: formats, compiled. Any thread may use it."""

    def __init__(self, formats: Iterable[Format]) -> None:
        self._words = [word for each in formats for word in _words(each)]
        self._patterns = {each.format: _compiled(each.format.strict) for each in self._words}
        self._any = _any_of(each.form for each in self._words)
        self._each = _each_of(each.form for each in self._words)

    def __bool__(self) -> bool:
        return bool(self._words)

    def find(self, text: bytes, *, first: bool = True) -> list[Leak]:
        """The keys in a text. Without `first` it begins in the middle of something."""
        if not self._words:
            return []
        plain = text.translate(None, _BREAKS)
        if self._any.search(plain) is None:
            return []
        words = self._standing(plain)
        leaks = list(self._as_it_stands(_formats(words, ""), text, first))
        for runs in _RUNS:
            leaks += self._in_runs(runs, words, text, plain, first)
        return leaks + self._in_percent(words, text, first, {each.secret for each in leaks})

    def find_in_name(self, name: str) -> list[Leak]:
        """Those in a name of DNS, whose labels together may be hex, base64 or base32 (in which case
        means nothing)."""
        text = name.replace(".", "").encode("ascii", "replace")
        if not self._words or len(text) < SHORTEST_NAME:
            return []
        leaks = self.find(text)
        for run in _BASE32.finditer(text.upper()):
            for phase in range(8):
                found = self.find(_from_base32(run[0][phase:]))
                leaks += [Leak(each.format, each.secret, -1, "base32") for each in found]
        return leaks

    def _standing(self, plain: bytes) -> list[_Word]:
        """The words in a text that has some; all of them where RE2 has no memory to tell which."""
        numbers = self._each.Match(plain)
        return [self._words[each] for each in numbers] if numbers else self._words

    def _as_it_stands(self, formats: list[Format], text: bytes, first: bool) -> Iterator[Leak]:
        """Matches only around words: a part holds each key of which one stands in it."""
        for each in formats:
            for start, end in _parts(text, [word.encode() for word in each.anchors]):
                yield from self._match(each, text, first, start, end)

    def _match(
        self, format_: Format, text: bytes, first: bool, start: int = 0, end: int | None = None
    ) -> Iterator[Leak]:
        matches = _overlapping(self._patterns[format_], text[start:end])
        for at, secret in islice(matches, LURES):
            # What begins at a cut was there before, with what stands in front of it.
            if (at or (first and not start)) and format_.check(secret):
                yield Leak(format_, secret, start + at)
        if format_.confidence != "suspicious" and next(matches, None) is not None:
            yield Leak(CROWD, b"", start)

    def _in_runs(
        self, runs: _Runs, words: list[_Word], text: bytes, plain: bytes, first: bool
    ) -> Iterator[Leak]:
        own = [each for each in words if each.coding == runs.coding]
        found = [(at, word) for word in own for at in _places(plain, [word.form])]
        if not found:
            return
        found.sort(key=itemgetter(0))
        lines = _lines(text)
        for run in runs.pattern.finditer(plain):
            whole = first or run.start() > 0
            for phase, format_ in _phases(found, *run.span(), runs):
                start = run.start() + phase
                for leak in self._match(format_, runs.decode(run[0][phase:]), whole):
                    at = _offset(lines, start + leak.at * runs.letters // runs.bytes_)
                    yield Leak(leak.format, leak.secret, at, runs.coding)

    def _in_percent(
        self, words: list[_Word], text: bytes, first: bool, known: Collection[bytes]
    ) -> list[Leak]:
        formats = _formats(words, "", "percent-encoding")
        coded = any(each.coding == "percent-encoding" for each in words)
        if not coded and (not formats or not _ESCAPE.search(text)):
            return []
        decoded = unquote_to_bytes(text.replace(b"+", b" "))
        return [
            Leak(each.format, each.secret, -1, "percent-encoding")
            for each in self._as_it_stands(formats, decoded, first)
            if each.secret not in known
        ]


@cache
def finder(names: tuple[str, ...]) -> Finder:
    """The finder of the formats of these names, made once."""
    return Finder(each for each in FORMATS if each.name in names)


def _formats(words: Iterable[_Word], *codings: Coding) -> list[Format]:
    """The formats whose words stand there in one of these codings."""
    return list(dict.fromkeys(each.format for each in words if each.coding in codings))


def _overlapping(pattern: Any, text: bytes) -> Iterator[tuple[int, bytes]]:
    """Where a pattern's group matches, and what: also inside another match, which may be a lure."""
    begin = 0
    while (found := pattern.search(text, begin)) is not None:
        at = found.start(1)
        if at > begin or not begin:  # a search takes its beginning for that of the text
            yield at, found[1]
        begin = at + 1


def _parts(text: bytes, words: Iterable[bytes]) -> list[tuple[int, int]]:
    """The parts of a text, in order, that hold all keys in which one of these words stands."""
    parts: list[tuple[int, int]] = []
    for start, end in sorted(span for word in words for span in _spans(text, word)):
        if parts and start <= parts[-1][1]:
            before, until = parts.pop()
            parts.append((before, max(until, end)))
        else:
            parts.append((start, end))
    return parts


def _spans(text: bytes, word: bytes) -> Iterator[tuple[int, int]]:
    """The parts of a text that hold all keys with this word. Where it stands again and again, each
    looks for the last that the first one's part reaches: most are passed over."""
    at = text.find(word)
    while at >= 0:
        last = text.rfind(word, at, at + SPAN)
        yield max(0, at - _BEFORE), last + SPAN
        at = text.find(word, last + 1)


def _places(text: bytes, forms: Iterable[bytes]) -> list[int]:
    """Where these words stand in a text, in order."""
    found: list[int] = []
    for form in forms:
        at = text.find(form)
        while at >= 0:
            found.append(at)
            at = text.find(form, at + 1)
    return sorted(found)


def _phases(
    places: list[tuple[int, _Word]], start: int, end: int, runs: _Runs
) -> dict[tuple[int, Format], None]:
    """At which letters of a run a group may begin, and of which format a word says so."""
    first, last = (bisect_left(places, each, key=itemgetter(0)) for each in (start, end))
    inside = places[first:last]
    return dict.fromkeys(
        ((at - start - word.lead) % runs.letters, word.format) for at, word in inside
    )


def _lines(text: bytes) -> tuple[list[int], list[int]]:
    """Where each line of a text begins without the line breaks before it, and with them."""
    found = [(each.start(), each.end()) for each in _UNBROKEN.finditer(text)]
    lengths = accumulate((end - start for start, end in found), initial=0)
    return list(lengths), [start for start, _ in found]


def _offset(lines: tuple[list[int], list[int]], at: int) -> int:
    """The offset in a text of what is the byte `at` of it without its line breaks."""
    without, whole = lines
    line = bisect_right(without, at, hi=len(whole)) - 1
    return whole[line] + at - without[line]


# The forms of words


def _words(format_: Format) -> Iterator[_Word]:
    """What is only suspicious is looked for as it stands: encoded, it says even less."""
    for anchor in (each.encode() for each in format_.anchors):
        yield _Word(anchor, format_)
        for form in dict.fromkeys(_percent(anchor)):
            yield _Word(form, format_, "percent-encoding")
        if format_.confidence != "suspicious":
            yield _Word(anchor.hex().encode(), format_, "hex")
            yield _Word(anchor.hex().upper().encode(), format_, "hex")
            for lead, form in dict.fromkeys(_in_base64(anchor)):
                yield _Word(form, format_, "base64", lead)


def _percent(anchor: bytes) -> Iterator[bytes]:
    whole = "".join(f"%{each:02X}" for each in anchor)
    for text in (whole, whole.lower(), quote(anchor, safe=""), quote(anchor).replace("%20", "+")):
        if text.encode() != anchor:
            yield text.encode()


def _in_base64(anchor: bytes) -> Iterator[tuple[int, bytes]]:
    """The letters that a word decides wherever it begins in a group, in both alphabets; of short
    words, with all that may stand at one end."""
    for offset in range(3):
        start, end = -(-offset * 8 // 6), (offset + len(anchor)) * 8 // 6
        if end - start >= _LETTERS:
            texts = {base64.b64encode(bytes(offset) + anchor)[start:end]}
        else:
            start, end = (start - 1, end) if offset == 1 else (start, end + 1)
            around = (bytes([each]) * offset + anchor + bytes([each, each]) for each in range(256))
            texts = {base64.b64encode(each)[start:end] for each in around}
        for text in sorted(texts):
            yield from ((start, text), (start, text.translate(bytes.maketrans(b"+/", b"-_"))))


def _any_of(forms: Iterable[bytes]) -> Any:
    """Whether and where one of the forms is in a text."""
    import re2  # 25 ms, for processes that judge

    longest_first = sorted(set(forms), key=lambda form: (-len(form), form))
    return re2.compile(b"|".join(map(re2.escape, longest_first)), _options())


def _each_of(forms: Iterable[bytes]) -> Any:
    """Which of the forms are in a text."""
    import re2

    found = re2.Set.SearchSet(_options())
    for form in forms:
        found.Add(re2.escape(form))
    found.Compile()
    return found


def _options() -> Any:
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.max_mem = _MEMORY
    return options


@cache
def _compiled(pattern: str) -> Any:
    import re2

    return re2.compile(pattern.encode())


# Decoding


def _from_base64(text: bytes) -> bytes:
    text = text.translate(_STANDARD)[: len(text) - (len(text) % 4 == 1)]
    return base64.b64decode(text + b"=" * (-len(text) % 4))


def _from_base32(text: bytes) -> bytes:
    """Whole groups, and zeros for the letters that the last one lacks."""
    return base64.b32decode(text + b"A" * (-len(text) % 8)) if text else b""


def _from_hex(text: bytes) -> bytes:
    return bytes.fromhex(text[: len(text) // 2 * 2].decode())


_BASE32 = re.compile(rb"[A-Z2-7]{24,}")
# Of these lengths, as the shortest key has 25 bytes: shorter runs would only cost time.
_RUNS = (
    _Runs("base64", re.compile(rb"[A-Za-z0-9+/_-]{32,}"), 4, 3, _from_base64),
    _Runs("hex", re.compile(rb"[0-9A-Fa-f]{48,}"), 2, 1, _from_hex),
)
