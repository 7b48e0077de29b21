"""The words of one simple command, read as a POSIX shell reads them (POSIX.1-2024, XCU 2.2, 2.9.1).

Only what every shell reads alike: a text that is more than one command, or whose words the shell
would compute, is opaque. Patterns and tildes are left as they are: they become names of files.
"""

import re

LIMIT = 64 << 10
"""Characters of a command; longer ones are opaque."""

_PIECE = re.compile(
    r"""(?P<blank>[ \t]+)"""
    r"""|'(?P<single>[^']*)'"""
    r'''|"(?P<double>(?:[^"\\$`!]|\\["\\$`])*)"'''
    r"""|\\(?P<escaped>[^\n])"""
    r"""|(?P<plain>[^\s'"\\$`;&|<>(){}#!=\x00-\x1f\x7f]+|(?<=[^\s])[#=!])"""
)
_ESCAPE = re.compile(r'\\(["\\$`])')
_RESERVED = frozenset(
    {"case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in"}
    | {"select", "then", "time", "until", "while"}
)


def simple_words(text: str) -> tuple[str, ...] | None:
    """The words of a command, its name first; None where it is opaque.

    >>> simple_words("git-upload-pack 'o/r'")
    ('git-upload-pack', 'o/r')
    >>> simple_words("git-upload-pack 'o/r'; id")
    """
    if len(text) > LIMIT or "\0" in text:
        return None
    words: list[str] = []
    current: str | None = None
    position = 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            return None
        position = piece.end()
        if piece["blank"]:
            words += [current] if current is not None else []
            current = None
        else:
            current = (current or "") + _value(piece)
    words += [current] if current is not None else []
    return tuple(words) if _is_command(words) else None


def _value(piece: re.Match[str]) -> str:
    if piece["double"] is not None:
        return _ESCAPE.sub(r"\1", piece["double"])
    return next(part for part in piece.group("single", "escaped", "plain") if part is not None)


def _is_command(words: list[str]) -> bool:
    """Whether the first word is a program's plain name: no assignment, no keyword, no pattern."""
    name = words[0] if words else ""
    return bool(re.fullmatch(r"[\w./+:@%,-]+", name, re.ASCII)) and name not in _RESERVED
