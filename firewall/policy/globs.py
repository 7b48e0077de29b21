"""Globs over one text: `*` is any characters, slashes and blanks too; `?` one; `[...]` one of some.

A text may have unknown pieces, which only running can tell. Matching costs time linear in the text.
"""

import re
from collections.abc import Sequence
from fnmatch import translate

from firewall.policy.errors import Fault

_TOKEN = re.compile(r"\*+|\[!?+\]?+[^\]]*+\]|.", re.DOTALL)
_REMEMBERED = 1024
"""Characters whose steps are kept; a hostile text may use every character there is."""


class Glob:
    """One compiled glob."""

    __slots__ = ("_accepts", "_pattern", "_stars", "_tokens", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._pattern = re.compile(translate(text))
        self._tokens = _TOKEN.findall(text)
        self._stars = sum(1 << at for at, token in enumerate(self._tokens) if token[0] == "*")
        self._accepts: dict[str, int] = {}

    def matches(self, text: str) -> bool:
        """Whether the whole text is what the glob describes."""
        return self._pattern.match(text) is not None

    def may_match(self, pieces: Sequence[str]) -> bool:
        """Whether some unknown texts between the pieces would make a whole that matches.

        An automaton whose states are bits: bit n is set where the first n tokens may have matched
        so far (Baeza-Yates and Gonnet, "A new approach to text searching", 1992).
        """
        states = self._closed(1)
        for position, piece in enumerate(pieces):
            if position and states:
                states = (2 << len(self._tokens)) - (states & -states)
            for character in piece:
                moved = (states & self._accepting(character)) << 1
                states = self._closed(moved | (states & self._stars))
        return bool(states >> len(self._tokens))

    def _closed(self, states: int) -> int:
        """The states, and those that a `*` of nothing leads to."""
        return states | (states & self._stars) << 1

    def _accepting(self, character: str) -> int:
        """The tokens, as bits, that match a character."""
        accepts = self._accepts.get(character)
        if accepts is None:
            accepts = sum(
                1 << at
                for at, token in enumerate(self._tokens)
                if token[0] != "*" and re.match(translate(token), character)
            )
            if len(self._accepts) < _REMEMBERED:
                self._accepts[character] = accepts
        return accepts


def checked(text: str) -> str:
    """The text of a glob. Raises Fault where it is empty, or has a bracket that nothing closes."""
    if not text.strip():
        raise Fault("an empty glob matches nothing", "what is meant, or leave the key out")
    if "[" in _TOKEN.findall(text):
        raise Fault(f"the glob {text!r} has a [ that is not closed", text.replace("[", "[[]"))
    return text


def is_plain(text: str) -> bool:
    """Whether a glob is only equal to itself."""
    return not any(each in text for each in "*?[")


def literal(text: str) -> str:
    """A glob that is this text and nothing else.

    >>> literal("a*[b]")
    'a[*][[]b]'
    """
    return "".join(f"[{each}]" if each in "*?[" else each for each in text)
