"""GraphQL documents: what each operation is, its name, and its top-level fields.

GraphQL specification (October 2021), sections 2.1 (source text) and 2.2 to 2.8 (document).
Nothing is validated that a server would; what does not read as operations and fragments is None.
"""

import re
from collections.abc import Iterator

from firewall.requests import Act

_TOKEN = re.compile(
    r'(?P<string>"""(?:\\"""|(?!""")[\s\S])*"""|"(?:\\.|[^"\\\r\n])*")'
    r"|(?P<skip>[\ufeff \t\r\n,]+|#[^\r\n]*)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<mark>\.\.\.|[!$&()*:=@\[\]{|}])"
)
_OPENS = {"(": ")", "[": "]", "{": "}"}
_OPERATIONS = ("query", "mutation", "subscription")
_FIELDS_LIMIT = 1000
_DEPTH_LIMIT = 20
"""Inline fragments inside each other."""
_SPREAD = "..."


class _UnreadableError(Exception):
    """The document is none, or one that servers may read differently."""


def graphql_acts(document: str) -> tuple[Act, ...] | None:
    """The operations of a document, with the fields that their fragments bring; None where it
    cannot be read or has none. `does` is the kind of operation, `subject` its name."""
    try:
        return _Document(document).acts() or None
    except _UnreadableError:
        return None


class _Document:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._operations: list[tuple[str, str, list[str]]] = []
        self._fragments: dict[str, list[str]] = {}
        while self._at < len(self._tokens):
            self._definition()

    def acts(self) -> tuple[Act, ...]:
        found = [
            Act(kind, name, tuple(dict.fromkeys(self._spread(fields))))
            for kind, name, fields in self._operations
        ]
        if not all(act.fields for act in found):
            raise _UnreadableError
        return tuple(found)

    def _spread(self, fields: list[str]) -> Iterator[str]:
        """The fields of a selection, those of its fragments in their place; each fragment once."""
        waiting, seen = fields[::-1], set()
        while waiting:
            each = waiting.pop()
            if not each.startswith(_SPREAD):
                yield each
            elif each not in seen:
                seen.add(each)
                waiting += self._fragment(each.removeprefix(_SPREAD))[::-1]

    def _fragment(self, name: str) -> list[str]:
        if name not in self._fragments:
            raise _UnreadableError
        return self._fragments[name]

    def _definition(self) -> None:
        word = self._peek()
        if word == "{":
            self._operations.append(("query", "", self._selection()))
        elif word in _OPERATIONS:
            self._next()
            name = "" if self._peek() in ("{", "(", "@") else self._name()
            self._skip_to_selection()
            self._operations.append((word, name, self._selection()))
        elif word == "fragment":
            self._next()
            name = self._name()
            self._skip_to_selection()
            if self._fragments.setdefault(name, fields := self._selection()) is not fields:
                raise _UnreadableError
        else:
            raise _UnreadableError

    def _skip_to_selection(self) -> None:
        """Pass over variables, a type condition and directives."""
        while self._peek() != "{":
            if self._peek() == "(":
                self._skip_group()
            elif self._next() in ("}", ")", "]"):
                raise _UnreadableError

    def _selection(self, depth: int = 0) -> list[str]:
        """The fields of a selection set; a spread is its name after three dots."""
        if depth > _DEPTH_LIMIT:
            raise _UnreadableError
        self._expect("{")
        found: list[str] = []
        while self._peek() != "}":
            found += self._selected(depth)
            if len(found) > _FIELDS_LIMIT:
                raise _UnreadableError
        self._next()
        if not found:
            raise _UnreadableError
        return found

    def _selected(self, depth: int) -> list[str]:
        if self._peek() == _SPREAD:
            self._next()
            return self._spread_or_inline(depth)
        name = self._name()
        if self._peek() == ":":
            self._next()
            name = self._name()
        self._skip_groups(("(", "@"))
        if self._peek() == "{":
            self._skip_group()
        return [name]

    def _spread_or_inline(self, depth: int) -> list[str]:
        word = self._peek()
        if word not in ("on", "@", "{"):
            name = self._name()
            self._skip_groups(("@",))
            return [_SPREAD + name]
        if word == "on":
            self._next()
            self._name()
        self._skip_groups(("@",))
        return self._selection(depth + 1)

    def _skip_groups(self, marks: tuple[str, ...]) -> None:
        """Pass over arguments and directives."""
        while self._peek() in marks:
            if self._peek() == "@":
                self._next()
                self._name()
            if self._peek() == "(":
                self._skip_group()

    def _skip_group(self) -> None:
        """Pass over brackets and all that is in them."""
        waiting = [_OPENS[self._next()]]
        while waiting:
            token = self._next()
            if token in _OPENS:
                waiting.append(_OPENS[token])
            elif token in (")", "]", "}") and token != waiting.pop():
                raise _UnreadableError

    def _peek(self) -> str:
        if self._at >= len(self._tokens):
            return ""
        return self._tokens[self._at]

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise _UnreadableError
        self._at += 1
        return token

    def _name(self) -> str:
        token = self._next()
        if not (token[0].isalpha() or token[0] == "_"):
            raise _UnreadableError
        return token

    def _expect(self, mark: str) -> None:
        if self._next() != mark:
            raise _UnreadableError


def _tokens(text: str) -> Iterator[str]:
    """Names and marks as they are; strings and numbers as a text that is neither."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _UnreadableError
        at = found.end()
        if found.lastgroup in ("name", "mark"):
            yield found[0]
        elif found.lastgroup != "skip":
            yield '"'
