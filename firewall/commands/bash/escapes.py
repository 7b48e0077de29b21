r"""Backslash escapes of $'...', echo -e and printf (bash, "ANSI-C Quoting")."""

import re

_SIMPLE = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "E": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "?": "?",
}

_ESCAPE = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|0?([0-7]{1,3})|c(.)|(.))",
    re.DOTALL,
)


def ansi_c(text: str) -> str:
    """The text that an escaped text stands for; it ends at a zero byte, as in bash."""
    return _ESCAPE.sub(_unescape, text).partition("\0")[0]


def _unescape(found: re.Match[str]) -> str:
    byte, short, long, octal, control, simple = found.groups()
    if number := byte or short or long:
        return chr(min(int(number, 16), 0x10FFFF))
    if octal:
        return chr(int(octal, 8) & 0xFF)
    if control:
        return chr(ord(control) & 0x1F)
    return _SIMPLE.get(simple, "\\" + simple)
