"""Keys of known formats in bytes, as they are and decoded once (base64, hex, percent-encoding).

Nearly all bytes hold none of the words by which keys are found, in none of their forms (RFC 4648,
RFC 3986): one search for all of them, in time linear in the bytes (RE2), passes those over. Only
around such a word is anything decoded and matched. What follows a word costs hundreds of times what
other bytes do, so each search counts its words and stops where there are too many (`Purse`).
"""

import base64
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes

from firewall.keyformats import FORMATS, SPAN, Format

type Coding = Literal["", "base64", "base32", "hex", "percent-encoding"]

SHORTEST_NAME = 24
"""Characters of a name of DNS that can hold a key."""

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
_MATCH = 2
"""What looks like a key costs as much as so many words more."""


class TooManyError(Exception):
    """More words of keys than honest text has: nobody can say what stands among them."""


class Purse:
    """How many words one text may cost; of 440 MB of programs and their manuals, what had the most
    had one in 150 bytes, and 88 in 64 KiB."""

    FREE = 2048
    EVERY = 64
    """A word more for so many bytes."""
    EACH = 32
    """Words more for each piece of a stream, as the end of the piece before is looked at again."""

    def __init__(self) -> None:
        self._left = self.FREE
        self.spent = 0
        """Words so far."""

    def earn(self, size: int) -> None:
        """A piece of so many bytes is looked at. What is saved stays within FREE besides."""
        self._left = min(self._left, self.FREE) + self.EACH + size // self.EVERY

    def spend(self, words: int = 1) -> None:
        """Raises TooManyError where there is no more."""
        self._left -= words
        self.spent += words
        if self._left < 0:
            raise TooManyError


@dataclass(frozen=True, slots=True)
class Leak:
    """A key that was found. `at` is the offset of its first byte, or of its encoded text; -1 where
    an encoding leaves none that could be told."""

    format: Format
    secret: bytes
    at: int
    coding: Coding = ""


@dataclass(frozen=True, slots=True)
class _Word:
    """A form in which a key's word is written. Of its `coding`, a group begins `lead` letters
    before it."""

    form: bytes
    format: Format
    coding: Coding = ""
    lead: int = 0


@dataclass(frozen=True, slots=True)
class _Runs:
    """A coding's unbroken texts, how many letters a group has and bytes it means."""

    coding: Coding
    pattern: re.Pattern[bytes]
    letters: int
    bytes_: int
    decode: Callable[[bytes], bytes]


class _Coded:
    """The words in one coding, found by one search: one for each word costs their number times the
    runs', which a peer can make seconds of."""

    def __init__(self, words: Iterable[_Word], coding: Coding) -> None:
        own = [each for each in words if each.coding == coding]
        forms = {each.form for each in own}
        self._pattern = _any_of(forms) if forms else None
        self._words = {form: [w for w in own if form.startswith(w.form)] for form in forms}

    def places(self, text: bytes, purse: Purse) -> Iterator[tuple[int, _Word]]:
        """Each word that stands in a text, and where."""
        at = -1
        while self._pattern and (found := self._pattern.search(text, at + 1)) is not None:
            purse.spend()
            at = found.start()
            for word in self._words[found[0]]:
                yield at, word


class Finder:
    """What is looked for: formats, compiled. Any thread may use it."""

    def __init__(self, formats: Iterable[Format]) -> None:
        self._words = [word for each in formats for word in _words(each)]
        self._patterns = {each.format: _compiled(each.format.strict) for each in self._words}
        self._any = _any_of(each.form for each in self._words)
        self._each = _each_of(each.form for each in self._words)
        self._plain = _any_of(each.form for each in self._words if not each.coding)
        self._coded = {each.coding: _Coded(self._words, each.coding) for each in _RUNS}

    def __bool__(self) -> bool:
        return bool(self._words)

    def find(self, text: bytes, *, first: bool = True, purse: Purse | None = None) -> list[Leak]:
        """The keys in a text. Without `first` it begins in the middle of something. Raises
        TooManyError where it costs more than is in the purse, by default one text's."""
        if not self._words:
            return []
        plain = text.translate(None, _BREAKS)
        if self._any.search(plain) is None:
            return []
        if purse is None:
            purse = Purse()
            purse.earn(len(text))
        words = self._standing(plain)
        leaks = list(self._as_it_stands(text, first, purse)) if _formats(words, "") else []
        for runs in _RUNS:
            leaks += self._in_runs(runs, words, text, plain, first, purse)
        return leaks + self._in_percent(words, text, first, leaks, purse)

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

    def _as_it_stands(self, text: bytes, first: bool, purse: Purse) -> Iterator[Leak]:
        """Matches only around words: a part holds each key of which one stands in it."""
        for start, end in _parts(self._places(text, purse)):
            piece, whole = text[start:end], first and not start
            formats = _formats(self._standing(piece), "")
            for leak in self._match(formats, piece, whole, purse):
                yield replace(leak, at=start + leak.at)

    def _places(self, text: bytes, purse: Purse) -> Iterator[int]:
        for found in self._plain.finditer(text):
            purse.spend()
            yield found.start()

    def _match(
        self, formats: Iterable[Format], text: bytes, first: bool, purse: Purse
    ) -> Iterator[Leak]:
        for each in formats:
            for at, secret in _overlapping(self._patterns[each], text):
                purse.spend(_MATCH)
                # What begins at a cut was there before, with what stands in front of it.
                if (at or first) and each.check(secret):
                    yield Leak(each, secret, at)

    def _in_runs(
        self,
        runs: _Runs,
        words: list[_Word],
        text: bytes,
        plain: bytes,
        first: bool,
        purse: Purse,
    ) -> Iterator[Leak]:
        if not any(each.coding == runs.coding for each in words):
            return
        coded, lines = self._coded[runs.coding], None
        for run in runs.pattern.finditer(plain):
            whole = first or run.start() > 0
            for phase, formats in _phases(run[0], coded, runs.letters, purse).items():
                start = run.start() + phase
                for leak in self._match(formats, runs.decode(run[0][phase:]), whole, purse):
                    lines = lines or _lines(text)
                    at = _offset(lines, start + leak.at * runs.letters // runs.bytes_)
                    yield Leak(leak.format, leak.secret, at, runs.coding)

    def _in_percent(
        self,
        words: list[_Word],
        text: bytes,
        first: bool,
        found: Iterable[Leak],
        purse: Purse,
    ) -> list[Leak]:
        formats = _formats(words, "", "percent-encoding")
        coded = any(each.coding == "percent-encoding" for each in words)
        if not coded and (not formats or not _ESCAPE.search(text)):
            return []
        decoded = unquote_to_bytes(text.replace(b"+", b" "))
        known = {each.secret for each in found}
        return [
            Leak(each.format, each.secret, -1, "percent-encoding")
            for each in self._as_it_stands(decoded, first, purse)
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


def _parts(words: Iterable[int]) -> list[tuple[int, int]]:
    """The parts of a text, in order, that hold all keys whose words stand at these offsets."""
    parts: list[tuple[int, int]] = []
    for at in words:
        start, end = max(0, at - _BEFORE), at + SPAN
        if parts and start <= parts[-1][1]:
            start, _ = parts.pop()
        parts.append((start, end))
    return parts


def _phases(run: bytes, coded: _Coded, letters: int, purse: Purse) -> dict[int, list[Format]]:
    """At which letters of a run a group may begin, and which formats' words say so."""
    phases: dict[int, dict[Format, None]] = {}
    for at, word in coded.places(run, purse):
        phases.setdefault((at - word.lead) % letters, {})[word.format] = None
    return {phase: list(formats) for phase, formats in phases.items()}


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
