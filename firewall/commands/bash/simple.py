"""Simple commands of shell text: assignments, words, redirections and here-documents."""

import re

from firewall.commands.bash.scanner import EXCERPT
from firewall.commands.bash.syntax import (
    Assignment,
    HereDocument,
    Redirect,
    Simple,
    Text,
    Unreadable,
    Word,
)
from firewall.commands.bash.words import Words

_JOINED_BLANKS = re.compile(r"(?:[ \t]|\\\n)*")
_BLANK_LINES = re.compile(r"(?:[ \t]|\\\n)*(?:#[^\n]*)?")
_KEYWORD = re.compile(r"(?:[a-z]+|\[\[|[!{}])(?=[ \t\n;&|()<>]|\\\n|$)")
REDIRECT = re.compile(
    r"([0-9]+|\{[A-Za-z_][A-Za-z0-9_]*\})?(<<<|<<-|<<|<&|<>|>>|>&|>\||&>>|&>|<(?!\()|>(?!\())"
)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?=|\[)")
_ENDERS = frozenset({"then", "else", "elif", "fi", "do", "done", "esac", "}"})
RESERVED = _ENDERS | {
    "if",
    "while",
    "until",
    "for",
    "select",
    "case",
    "function",
    "{",
    "[[",
    "!",
    "coproc",
}
_DECLARES = frozenset({"declare", "typeset", "local", "export", "readonly"})


class SimpleCommands(Words):
    """Reads simple commands; lists and compound commands are the grammar's."""

    def lines(self) -> None:
        """Blank lines and comments; the bodies of here-documents start where a line ends."""
        while True:
            self.match(_BLANK_LINES)
            if not self.take("\n"):
                return
            self.step()
            for document in self.pending:
                self._body(document)
            self.pending = []

    def keyword(self) -> str:
        found = _KEYWORD.match(self.text, self.at)
        return found[0] if found else ""

    # Simple commands

    def simple(self) -> Simple:
        start = self.at
        assignments: list[Assignment] = []
        words: list[Word] = []
        redirects: list[Redirect | HereDocument] = []
        while not self._simple_ends():
            self.step()
            if REDIRECT.match(self.text, self.at):
                redirects.append(self.redirect())
            elif assignment := self._assignment(words):
                assignments.append(assignment)
            else:
                words.append(self.word())
        if self.at == start or not (assignments or words or redirects):
            raise self.error("a command is missing")
        if words and words[0].bare in RESERVED and not assignments and not redirects:
            raise self.error("a reserved word written over two lines")
        return Simple(
            tuple(assignments), tuple(words), tuple(redirects), self.text[start : start + EXCERPT]
        )

    def _simple_ends(self) -> bool:
        self.blanks()
        char = self.peek()
        if char == "&":
            return self.peek(2) != "&>"
        return char in {"", "\n", ";", "|", "(", ")"}

    def _assignment(self, words: list[Word]) -> Assignment | None:
        if words and words[0].bare not in _DECLARES:
            return None
        found = _ASSIGNMENT.match(self.text, self.at)
        if not found:
            return None
        start, self.at, subscript, plain = self.at, found.end(), None, found[2] == "="
        if found[2] == "[":
            subscript = self.arithmetic("]")
            if not (self.take("=") or self.take("+=")):
                self.at = start
                return None
        array = self.peek() == "("
        return Assignment(found[1], self._value(), plain, subscript, array)

    def _value(self) -> tuple[Word, ...]:
        if self.take("("):
            return self._array()
        if self.peek() in {"", " ", "\t", "\n", ";", "&", "|", ")"} or self.peek(2) == "\\\n":
            return (Word((Text("", quoted=True),)),)
        return (self.word(),)

    def _array(self) -> tuple[Word, ...]:
        words = []
        self.lines()
        while not self.take(")"):
            words.append(self.word())
            self.lines()
        return tuple(words)

    # Redirections

    def redirect(self) -> Redirect | HereDocument:
        found = REDIRECT.match(self.text, self.at)
        if not found:
            raise self.error("a redirection is missing")
        self.at = found.end()
        descriptor, operator = found[1] or "", found[2]
        if self.peek(2) == "\\\n" and operator in {"<", ">", "<<"}:
            raise self.error("a line is joined inside a redirection")
        self.match(_JOINED_BLANKS)
        if self.peek() in {"", "\n", ">", "<", "|", "&", ";", ")"} and self.peek(2) not in {
            "<(",
            ">(",
        }:
            raise Unreadable("a redirection without a file", self.text[:EXCERPT], rejected=True)
        if operator in {"<<", "<<-"}:
            return self._here_document(operator == "<<-", descriptor)
        return Redirect(operator, self.word(), descriptor)

    def _here_document(self, tabs: bool, descriptor: str) -> HereDocument:
        word = self.word()
        if not all(isinstance(piece, Text) for piece in word.pieces):
            raise self.error("the end of a here-document is not literal")
        texts = [piece for piece in word.pieces if isinstance(piece, Text)]
        delimiter = "".join(piece.text for piece in texts)
        quoted = any(piece.quoted for piece in texts)
        document = HereDocument(delimiter, quoted, tabs, descriptor)
        self.pending.append(document)
        return document

    def _body(self, document: HereDocument) -> None:
        """Lines up to the delimiter. Unquoted, a backslash joins lines before they are compared."""
        lines: list[str] = []
        while self.at < len(self.text):
            self.step()
            line = self._line(document)
            if line == document.delimiter:
                break
            lines.append(line + "\n")
        body = "".join(lines)
        if document.quoted:
            document.body = Word((Text(body, quoted=True),))
        else:
            self.enter()
            document.body = self.apart(body).body()
            self.leave()

    def _line(self, document: HereDocument) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = end + 1
        if document.tabs:
            line = line.lstrip("\t")
        joins = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        if joins and not document.quoted and self.at < len(self.text):
            return line[:-1] + self._line(document)
        return line
