"""Words and redirections while a text is read: what they expand to, and what runs to make them."""

import re
from abc import abstractmethod
from collections.abc import Sequence

from firewall.commands.bash.expand import expand, literal
from firewall.commands.bash.grammar import Grammar
from firewall.commands.bash.produce import MAKERS, produce
from firewall.commands.bash.scope import Scope
from firewall.commands.bash.syntax import (
    HereDocument,
    Node,
    Pipeline,
    Redirect,
    Script,
    Simple,
    Substitution,
    Unknown,
    Unreadable,
    Word,
)
from firewall.commands.record import Record, Via

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Expander(Record):
    """Expands words in a scope and reads the scripts inside them."""

    @abstractmethod
    def read_script(self, script: Script, scope: Scope, via: Via, stdin: str | None = "") -> None:
        """Record what a script runs."""

    def fields(self, word: Word, scope: Scope, via: Via) -> list[str | None]:
        for piece in word.pieces:
            self.read_piece(piece, scope, via)
        return self._expanded(word, scope)

    def _expanded(self, word: Word, scope: Scope) -> list[str | None]:
        names = [getattr(piece, "name", "") for piece in word.pieces]
        if names in (["@"], ["*"]) and scope.arguments is not None:
            return list(scope.arguments)
        self.spend(len(word.pieces) // 4)
        return expand(word, scope.variables, lambda piece: self._written(piece, scope))

    def read_piece(self, piece: object, scope: Scope, via: Via) -> None:
        if isinstance(piece, Substitution):
            stdin = None if piece.kind == ">()" else ""
            self.read_script(piece.script, scope.copy(), (*via, piece.kind), stdin)
        elif isinstance(piece, Unknown):
            for name in _IDENTIFIER.findall(piece.arithmetic) if piece.arithmetic else ():
                self.read_subscripts([scope.variables.get(name, "")], scope, via)
            for inner in piece.inner:
                self.read_piece(inner, scope, via)
            if piece.sets:
                scope.forget({piece.sets})
            scope.forget(
                set(_IDENTIFIER.findall(piece.arithmetic))
                if "=" in piece.arithmetic or "++" in piece.arithmetic
                else set()
            )

    def literal(self, word: Word | None, scope: Scope) -> str | None:
        if word is None:
            return ""
        self.spend(len(word.pieces) // 4 + (len(scope.variables) > 64))
        return literal(word, scope.variables, lambda piece: self._written(piece, scope))

    def redirects(
        self,
        redirects: Sequence[Redirect | HereDocument],
        scope: Scope,
        via: Via,
        stdin: str | None,
        output: str | None = None,
    ) -> tuple[str | None, list[str], list[str]]:
        """Standard input afterwards, and the files that are read and written."""
        reads: list[str] = []
        writes: list[str] = []
        for redirect in redirects:
            if isinstance(redirect, HereDocument):
                stdin = self._heard(redirect, scope, via)
                continue
            fields = self.fields(redirect.target, scope, via)
            if redirect.operator == "<<<":
                stdin = line(self.literal(redirect.target, scope))
                continue
            name = fields[0] if len(fields) == 1 else None
            if redirect.operator in {"<", "<>"}:
                stdin = scope.file(name or "") if redirect.descriptor in {"", "0"} else stdin
                reads += [name] if name else []
            if redirect.operator == "<&" and redirect.descriptor in {"", "0"}:
                stdin = None
            if redirect.operator in {">", ">>", ">|", "&>", "&>>", "<>"} or (
                redirect.operator == ">&" and name and not re.fullmatch(r"[0-9]*-?", name)
            ):
                writes += [name] if name else []
                if name:
                    scope.write(name, output, append=redirect.operator == ">>")
        return stdin, reads, writes

    def _heard(self, document: HereDocument, scope: Scope, via: Via) -> str | None:
        for piece in document.body.pieces if document.body else ():
            self.read_piece(piece, scope, via)
        return self.literal(document.body, scope)

    def _written(self, piece: Substitution, scope: Scope) -> str | None:
        if len(piece.script.commands) != 1:
            return None
        text = self.output(piece.script.commands[0], scope, "")
        return None if text is None else text.rstrip("\n")

    def output(self, node: Node, scope: Scope, stdin: str | None) -> str | None:
        """What a command writes, if that can be told without running it."""
        if isinstance(node, Pipeline):
            for command in node.commands:
                stdin = self.output(command, scope, stdin)
            return stdin
        if not isinstance(node, Simple) or node.assignments or not node.words:
            return None
        if (node.words[0].bare or "").rpartition("/")[2] not in MAKERS:
            return None
        for redirect in node.redirects:
            if isinstance(redirect, HereDocument):
                stdin = self.literal(redirect.body, scope)
            elif redirect.operator == "<<<":
                stdin = line(self.literal(redirect.target, scope))
            elif not (redirect.descriptor == "2" and redirect.operator.startswith(">")):
                return None
        return self._produced(node, scope, stdin)

    def _produced(self, node: Simple, scope: Scope, stdin: str | None) -> str | None:
        words = [field for word in node.words for field in self._expanded(word, scope)]
        if words[:1] and words[0] in scope.functions:
            return None
        if words[:1] == ["cat"] and len(words) == 2 and words[1]:
            return scope.file(words[1])
        return produce(words, stdin)

    def read_evaluated(self, words: Sequence[str | None], scope: Scope, via: Via) -> None:
        """Subscripts that arithmetic may evaluate run the substitutions in them, quoted or not."""
        self.read_subscripts([word for word in words if word and "[" in word], scope, via)

    def read_subscripts(self, texts: Sequence[str], scope: Scope, via: Via) -> None:
        for text in texts:
            if "$(" in text or "`" in text:
                try:
                    body = Grammar(text).body()
                except Unreadable as error:
                    self.hide(error.why, error.text)
                    continue
                for piece in body.pieces:
                    self.read_piece(piece, scope, (*via, "subscript"))


def feeds(redirect: Redirect | HereDocument) -> bool:
    """Whether standard input is what a redirection opens."""
    opens = isinstance(redirect, HereDocument) or redirect.operator.startswith("<")
    return opens and redirect.descriptor in {"", "0"}


def line(text: str | None) -> str | None:
    """Text as a here-string gives it."""
    return None if text is None else text + "\n"
