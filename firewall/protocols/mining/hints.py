"""What every mining message in JSON contains: a cheap look, before its structure is read.

Each rule of `messages` needs what is looked for here, so that text without it is never read closer:
a body of a model's API, of MCP or of a language server costs a few searches in C. StringZilla finds
a word in a twelfth of the time that Python's bytes take.
"""

import re
from collections.abc import Iterable

from stringzilla import find

_WORDS = (
    "mining.", "eth_", "login", "submit", "solution", "keepalived", "block", "get_miner_data",
    "getwork", "get_?block", "getaux", "createaux", "getmining", "getjobtemplate",
    "set_extranonce", "job",
)  # fmt: skip
"""How the methods begin that `messages` knows. All is looked for in lower case."""

_BLANKS = 16
"""Blanks between a key and its value that are looked over; more are suspect by themselves."""

_METHOD = re.compile(
    rb'"method"(?:\s{%d}|\s*+:(?:\s{%d}|\s*+"(?:%b)))'
    % (_BLANKS, _BLANKS, "|".join(_WORDS).encode())
)
_ESCAPES = re.compile(rb"\\u(?:00(?:[4-7]|3[0-9]|2[ef]|5f)|017f|212a)")
"""Escapes that may spell a letter, a digit or a mark of any key or word (RFC 8259 section 7)."""

_FOLDED = ("\u017f".encode(), "\u212a".encode())
"""The two letters beyond ASCII that fold to letters within it, s and k."""

_KEYS = (
    b"job_id", b"site_key", b"blocktemplate_blob", b'"identifier"', b'"hashes"', b'"giver"',
    b'"hello"',
)  # fmt: skip
_RESULTS = (
    b"keepalived", b"coinbasevalue", b"midstate", b"ethereumstratum", b'"mining.', b'"0x0000',
)  # fmt: skip
"""Of answers: they come after the key "result"."""

_OVERLAP = 96
"""Bytes kept of what was looked at: more than the longest thing that is looked for."""


class Hints:
    """Looks through one value, message or body as it comes."""

    def __init__(self) -> None:
        self._tail = b""
        self._answer = False

    def feed(self, data: bytes) -> bool:
        """Whether what has come so far may hold a mining message.

        False is certain, however the bytes are cut up; once it is True nothing more need be asked.
        """
        text = self._tail + data.lower() if self._tail else data.lower()
        self._tail = text[-_OVERLAP:]
        return self._look(text)

    def _look(self, text: bytes) -> bool:
        if find(text, b'"method"') >= 0 and _METHOD.search(text):
            return True
        self._answer = self._answer or find(text, b'"result"') >= 0
        if self._answer and _holds(text, _RESULTS):
            return True
        if _holds(text, _KEYS):
            return True
        if find(text, b"\\u") >= 0 and _ESCAPES.search(text):
            return True
        return not text.isascii() and _holds(text, _FOLDED)


def _holds(text: bytes, words: Iterable[bytes]) -> bool:
    """A loop, as a generator takes longer than the searches."""
    for word in words:  # noqa: SIM110
        if find(text, word) >= 0:
            return True
    return False


def may_mine(text: bytes) -> bool:
    """Whether a text may hold a mining message; False is certain."""
    return Hints().feed(text)
