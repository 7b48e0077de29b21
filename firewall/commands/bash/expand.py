"""The fields that a word expands to, where its text tells (bash, "Shell Expansions")."""

import re
from collections.abc import Callable, Mapping

from firewall.commands.bash.syntax import Parameter, Substitution, Text, Word

FIELDS = 64
LENGTH = 16_384

type Output = Callable[[Substitution], str | None]
"""The literal text that a substitution's script writes, if it can be told."""


class Pattern(str):
    """Text with unquoted *, ? or [: the names of files may take its place."""

    __slots__ = ()

    @property
    def hides(self) -> bool:
        """Whether it may name a hidden file or folder that its text does not ("~/.s*/id")."""
        return bool(_HIDDEN.search(self))


_HIDDEN = re.compile(r"(?:\A|/)\.[^/]*[*?\[]")
_GLOB = re.compile(r"[*?]|\[[^\]]*\]")
_SEQUENCE = re.compile(r"(-?[0-9]{1,4}|[A-Za-z])\.\.(-?[0-9]{1,4}|[A-Za-z])(?:\.\.(-?[0-9]{1,4}))?")
_MARK = "\0"
"""Stands before each quoted character that expansions would look at."""

_SPECIAL = re.compile(r"[{},*?\[\]~\s\\]")


_ACTIVE = re.compile(r"[{*?\[]")


def expand(
    word: Word, variables: Mapping[str, str], output: Output, *, splits: bool = True
) -> list[str | None]:
    """The fields of a word; None is one (or more, or none at all) that only running can tell.

    `splits`: values are split at blanks, as they are unless IFS was set.
    """
    match word.pieces:
        case (Text(text, quoted),) if quoted or not _ACTIVE.search(text):
            return [text]
    marked: list[str | None] = []
    for piece in word.pieces:
        match piece:
            case Text(text, quoted):
                marked.append(_quote(text) if quoted else text)
            case Parameter(name, quoted):
                value = None if "[" in name else variables.get(name)
                marked.append(_value(value, quoted, splits))
            case Substitution(_, "$()", quoted):
                marked.append(_value(output(piece), quoted, splits))
            case _:
                marked.append(None)
    if any(text is None for text in marked):
        return [None]
    return _fields("".join(text or "" for text in marked), word)


def literal(word: Word, variables: Mapping[str, str], output: Output) -> str | None:
    """A word as an assignment or here-document takes it: one field, never split."""
    texts: list[str | None] = []
    for piece in word.pieces:
        match piece:
            case Text(text):
                texts.append(text)
            case Parameter(name):
                texts.append(None if "[" in name else variables.get(name))
            case Substitution(_, "$()"):
                texts.append(output(piece))
            case _:
                texts.append(None)
    if any(text is None for text in texts):
        return None
    return "".join(text or "" for text in texts)[:LENGTH]


class Named(str):
    """The name of a file whose folder only running can tell ("$dir/run.sh")."""

    __slots__ = ()


def tail(word: Word) -> str:
    """The name at the end of a word that only running can tell; "" where it has none."""
    last = word.pieces[-1]
    text = last.text if isinstance(last, Text) and len(word.pieces) > 1 else ""
    _, slash, name = text.rpartition("/")
    return name if slash and not _ACTIVE.search(name) else ""


def _quote(text: str) -> str:
    return _SPECIAL.sub(lambda found: _MARK + found[0], text)


def _value(value: str | None, quoted: bool, splits: bool) -> str | None:
    """A parameter's value in a word: unquoted it is split at blanks, and never brace-expanded."""
    if value is None or not (quoted or splits):
        return None
    if quoted:
        return _quote(value)
    return re.sub(r"[{},~\\]", lambda found: _MARK + found[0], value)


def _fields(text: str, word: Word) -> list[str | None]:
    if len(text) > LENGTH:
        return [None]
    expanded = _braces(text)
    if expanded is None:
        return [None]
    parts = [part for one in expanded for part in _split(one)]
    if not parts and any(getattr(piece, "quoted", False) for piece in word.pieces):
        return [""]
    return [_unmark(part) for part in parts]


def _split(text: str) -> list[str]:
    """Fields at unquoted blanks, which only values can hold here."""
    if not re.search(r"(?<!\0)[ \t\n]", text):
        return [text] if text else []
    return [part for part in re.split(r"(?<!\0)[ \t\n]+", text) if part]


def _unmark(text: str) -> str:
    plain = text.replace(_MARK, "")
    unquoted = re.sub(r"\0.", "", text, flags=re.DOTALL) if _MARK in text else text
    return Pattern(plain) if _GLOB.search(unquoted) else plain


_BRACES = re.compile(r"(?<!\0)(?<!\$)\{((?:\0.|[^{}\0])*)\}", re.DOTALL)
_COMMA = re.compile(r"(?<!\0),")


def _braces(text: str) -> list[str] | None:
    """Brace expansion; None where braces are nested or there are too many results."""
    todo, done = [text], list[str]()
    while todo:
        one = todo.pop(0)
        found = next(filter(_alternatives, _BRACES.finditer(one)), None)
        if not found:
            done.append(one)
        elif re.search(r"(?<!\0)\{", one[: found.start()]) and "}" in one[found.end() :]:
            return None
        else:
            todo[:0] = [
                one[: found.start()] + each + one[found.end() :] for each in _alternatives(found)
            ]
        if len(todo) + len(done) > FIELDS:
            return None
    return done


def _alternatives(found: re.Match[str]) -> list[str]:
    if _COMMA.search(found[1]):
        return _COMMA.split(found[1])
    if ends := _SEQUENCE.fullmatch(found[1]):
        return _sequence(ends[1], ends[2], abs(int(ends[3] or 1)) or 1)
    return []


def _sequence(first: str, last: str, step: int) -> list[str]:
    """{first..last..step}; numbers are as wide as the wider end where one begins with a zero."""
    if first.lstrip("-").isdigit() != last.lstrip("-").isdigit():
        return []
    if not first.lstrip("-").isdigit():
        return [chr(code) for code in _range(ord(first), ord(last), step)]
    padded = any(re.match(r"-?0[0-9]", end) for end in (first, last))
    width = max(len(first), len(last)) if padded else 0
    return [f"{number:0{width}}" for number in _range(int(first), int(last), step)]


def _range(first: int, last: int, step: int) -> range:
    sign = 1 if first <= last else -1
    return range(first, last + sign, sign * step)[: FIELDS + 1]
