"""Words of shell text: quotes, expansions, substitutions at every nesting."""

import re
from abc import abstractmethod

from firewall.commands.bash.escapes import ansi_c
from firewall.commands.bash.scanner import Scanner
from firewall.commands.bash.syntax import (
    Parameter,
    Piece,
    Script,
    Substitution,
    Text,
    Unknown,
    Word,
)

_PLAIN = re.compile(r"[^\\'\"$`|&;()<> \t\n]+")
_IN_QUOTES = re.compile(r'[^\\"$`]+')
_IN_BODY = re.compile(r"[^\\$`]+")
_IN_BRACES = re.compile(r"[^\\'\"$`}<>]+")
_IN_ARITHMETIC = re.compile(r"[^\\'\"$`()\[\]]+")
_SINGLE = re.compile(r"[^']*")
_ANSI = re.compile(r"(?:[^'\\]|\\.)*", re.DOTALL)
_BACKTICKS = re.compile(r"(?:[^`\\]|\\.)*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = re.compile(r"[0-9@*#?$!-]")
_BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*(?:\[@\])?|[0-9]+|[@*#?$!-])\}")
_SETS = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[[^\]]*\])?:?=")
_QUOTES_ARE_TEXT = re.compile(
    r"[!#]?(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])?(?:\[[^\]]*\])?:?[-=?+]"
)
_ENDS = frozenset("|&;()<> \t\n")
_GLOB_GROUP = frozenset("?*+@!")


class Words(Scanner):
    """Reads words; the scripts inside them are read by the grammar, which is a subclass."""

    @abstractmethod
    def nested(self) -> Script:
        """The script up to the parenthesis that closes it, which is moved past."""

    @abstractmethod
    def apart(self, text: str) -> "Words":
        """A reader for text that stands in this one in a different spelling."""

    @abstractmethod
    def script(self) -> Script:
        """The whole text as a script."""

    def word(self) -> Word:
        """The word that starts here."""
        start, pieces = self.at, list[Piece]()
        while (char := self.peek()) and (char not in _ENDS or self._substitutes_process()):
            self._piece(char, pieces)
        if self.at == start:
            raise self.error("a word is missing")
        if self.peek() == "(" and self.text[self.at - 1] in _GLOB_GROUP:
            raise self.error("an extended glob pattern")
        return Word(_merge(pieces))

    def _substitutes_process(self) -> bool:
        return self.peek(2) in {"<(", ">("}

    def _piece(self, char: str, pieces: list[Piece]) -> None:
        """One piece of an unquoted word."""
        if text := self.match(_PLAIN):
            pieces.append(Text(text))
        elif char == "\\":
            self._escape(pieces)
        elif char == "'":
            pieces.append(self._single())
        elif char == '"':
            pieces += self._double()
        elif char == "$":
            pieces += self._dollar(quoted=False)
        elif char == "`":
            pieces.append(self._backticks(quoted=False))
        else:
            kind = "<()" if char == "<" else ">()"
            self.at += 2
            pieces.append(Substitution(self.nested(), kind))  # type: ignore[arg-type]

    def _escape(self, pieces: list[Piece]) -> None:
        escaped = self.peek(2)[1:]
        self.step()
        self.at += 2
        if escaped != "\n":
            pieces.append(Text(escaped or "\\", quoted=True))

    def _single(self) -> Text:
        self.at += 1
        text = self.match(_SINGLE)
        self._close("'", text)
        return Text(text, quoted=True)

    def _close(self, quote: str, text: str = "") -> None:
        self.inside(text)
        if not self.take(quote):
            raise self.error(f"no closing {quote}")

    def _double(self) -> list[Piece]:
        self.at += 1
        pieces = self.quoted(_IN_QUOTES, '"')
        self._close('"')
        return pieces or [Text("", quoted=True)]

    def quoted(self, plain: re.Pattern[str], end: str) -> list[Piece]:
        """Pieces within double quotes or a here-document's body, up to `end`."""
        pieces: list[Piece] = []
        while (char := self.peek()) and char != end:
            if text := self.match(plain):
                self.inside(text)
                pieces.append(Text(text, quoted=True))
            elif char == "\\":
                self._escape_quoted(pieces, end)
            elif char == "$":
                pieces += self._dollar(quoted=True)
            else:
                pieces.append(self._backticks(quoted=True))
        return pieces

    def _escape_quoted(self, pieces: list[Piece], end: str) -> None:
        pair = self.peek(2)
        self.step()
        self.at += 2
        if pair != "\\\n":
            special = {"$", "`", "\\", end}
            pieces.append(Text(pair[1:] if pair[1:] in special else pair, quoted=True))

    def body(self) -> Word:
        """The whole text as the body of a here-document."""
        return Word(_merge(self.quoted(_IN_BODY, "")))

    def _backticks(self, *, quoted: bool) -> Substitution:
        self.at += 1
        text = self.match(_BACKTICKS)
        self._close("`", text)
        escapes = r'\\(?:\n|([$`\\"]))' if quoted else r"\\(?:\n|([$`\\]))"
        self.enter()
        script = self.apart(re.sub(escapes, r"\1", text)).script()
        self.leave()
        return Substitution(script, "$()", quoted)

    def _dollar(self, *, quoted: bool) -> list[Piece]:
        self.step()
        self.at += 1
        self.joins()
        char = self.peek()
        if char == "'" and not quoted:
            self.at += 1
            text = self.match(_ANSI)
            self._close("'", text)
            return [Text(ansi_c(text), quoted=True)]
        if char == '"' and not quoted:
            return self._double()
        if char == "(":
            return [self._parenthesis(quoted=quoted)]
        if char == "{":
            return [self._braces(quoted=quoted)]
        if char == "[":
            self.at += 1
            return [self.arithmetic("]")]
        name = self.match(_NAME) or self.match(_SPECIAL)
        if name and self.peek(2) == "\\\n":
            raise self.error("a line is joined inside a parameter's name")
        return [Parameter(name, quoted)] if name else [Text("$", quoted=True)]

    def _parenthesis(self, *, quoted: bool) -> Piece:
        """$(( arithmetic )) where it can be; $( (subshell) ... ) otherwise, as bash decides."""
        self.at += 1
        self.joins()
        if self.peek() == "(" and (arithmetic := self.double_parenthesis()):
            return arithmetic
        return Substitution(self.nested(), "$()", quoted)

    def double_parenthesis(self) -> Unknown | None:
        """Arithmetic from its second parenthesis on, or None with the position unchanged."""
        start, pending = self.at, len(self.pending)
        self.at += 1
        arithmetic = self.arithmetic(")")
        if self.take(")"):
            return arithmetic
        self.at = start
        del self.pending[pending:]
        return None

    def arithmetic(self, close: str) -> Unknown:
        """Arithmetic or a subscript up to `close`, which is moved past."""
        self.enter()
        start, inner, level = self.at, list[Piece](), 0
        opening = "(" if close == ")" else "["
        while (char := self.peek()) and not (char == close and not level):
            level += (char == opening) - (char == close)
            self._inner_piece(char, _IN_ARITHMETIC, inner, quotes=False)
        text = self.text[start : self.at]
        self._close(close, text)
        self.leave()
        return Unknown(_inner(inner), text)

    def _braces(self, *, quoted: bool) -> Piece:
        """${...}: plain ones are parameters; of others only what runs inside is known."""
        self.at += 1
        self.joins()
        if simple := _BRACED.match(self.text, self.at):
            self.at = simple.end()
            return Parameter(simple[1], quoted)
        if self.peek() in {" ", "\t", "\n", "|", "("}:
            raise self.error("a command substitution in braces")
        return self._complex_braces(quoted=quoted)

    def _complex_braces(self, *, quoted: bool) -> Unknown:
        self.enter()
        start, inner = self.at, list[Piece]()
        literal = quoted and bool(_QUOTES_ARE_TEXT.match(self.text, self.at))
        while (char := self.peek()) and char != "}":
            self._inner_piece(char, _IN_BRACES, inner, quotes=not literal)
        text = self.text[start : self.at]
        self._close("}", text)
        self.leave()
        if "@P" in text:
            raise self.error("a parameter that is expanded as a prompt")
        sets = _SETS.match(text)
        return Unknown(
            _inner(inner),
            text if "[" in text or ":" in text else "",
            sets[1] if sets else "",
            not quoted or "@" in text,
        )

    def _inner_piece(
        self, char: str, plain: re.Pattern[str], inner: list[Piece], *, quotes: bool
    ) -> None:
        """One piece inside braces or arithmetic, of which only substitutions matter."""
        if self.match(plain):
            return
        if char == '"':
            inner += self._double()
        elif char == "$":
            inner += self._dollar(quoted=True)
        elif char == "`":
            inner.append(self._backticks(quoted=True))
        elif char == "'" and quotes:
            self._single()
        elif char in "<>" and self._substitutes_process():
            self.at += 2
            inner.append(Substitution(self.nested()))
        else:
            self.step()
            self.at += 2 if char == "\\" else 1


def _inner(pieces: list[Piece]) -> tuple[Substitution, ...]:
    found: list[Substitution] = []
    for piece in pieces:
        if isinstance(piece, Substitution):
            found.append(piece)
        elif isinstance(piece, Unknown):
            found += piece.inner
    return tuple(found)


def _merge(pieces: list[Piece]) -> tuple[Piece, ...]:
    """Join neighbouring unquoted text, which a joined line may have split."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if isinstance(piece, Text) and isinstance(last, Text) and piece.quoted == last.quoted:
            merged[-1] = Text(last.text + piece.text, piece.quoted)
        else:
            merged.append(piece)
    return tuple(merged)
