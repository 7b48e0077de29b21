"""Words and redirections while a text is read: what they expand to, and what runs to make them."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

from firewall.commands.bash.expand import expand, literal, tail
from firewall.commands.bash.grammar import Grammar
from firewall.commands.bash.produce import MAKERS, produce
from firewall.commands.bash.scope import Scope
from firewall.commands.bash.syntax import (
    Compound,
    HereDocument,
    Node,
    Parameter,
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
        return self.again(word, scope)

    def again(self, word: Word, scope: Scope) -> list[str | None]:
        """Its fields, without what runs to make them, which was read before."""
        match word.pieces:
            case (Parameter("@" | "*") as piece,) if scope.arguments is not None:
                return _positional(piece, scope.arguments, scope)
            case (Parameter(name, quoted=True),) if (words := scope.array(name)) is not None:
                self.spend(len(words) // 4)
                return [*words]
        self.spend(len(word.pieces) // 4)
        output = partial(self._written, scope=scope)
        return expand(word, scope.variables, output, splits=scope.splits)

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
    ) -> tuple[str | None, list[str], dict[str, bool]]:
        """Standard input afterwards, the files that are read, and those written: appended to?"""
        reads: list[str] = []
        writes: dict[str, bool] = {}
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
                writes |= {name: redirect.operator in {">>", "&>>"}} if name else {}
                if not name and (base := tail(redirect.target)):
                    scope.write(f"?/{base}", None)
        return stdin, reads, writes

    def keep(self, writes: dict[str, bool], node: Node, scope: Scope, stdin: str | None) -> None:
        """Remember what a command writes into the files that it was redirected to."""
        text = self.output(node, scope, stdin) if writes else None
        for name, append in writes.items():
            scope.write(name, text, append=append)

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
        if isinstance(node, Compound) and node.kind in {"group", "subshell"}:
            return self._all_output(node, scope, stdin)
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

    def _all_output(self, node: Compound, scope: Scope, stdin: str | None) -> str | None:
        """What the commands of a group write one after another; only the first may read."""
        if node.redirects:
            return None
        texts: list[str | None] = []
        for command in node.bodies[0].commands:
            texts.append(self.output(command, scope, None if texts else stdin))
        return None if None in texts else "".join(text or "" for text in texts)

    def _produced(self, node: Simple, scope: Scope, stdin: str | None) -> str | None:
        words = [field for word in node.words for field in self.again(word, scope)]
        if words[:1] and words[0] in scope.functions:
            return None
        if words[:1] == ["cat"] and words[1:] and not any((w or "-")[0] == "-" for w in words[1:]):
            texts = [scope.file(word or "") for word in words[1:]]
            return None if None in texts else "".join(text or "" for text in texts)
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


def _positional(
    piece: Parameter, arguments: Sequence[str | None], scope: Scope
) -> list[str | None]:
    """Quoted, $@ is each argument and $* all in one; unquoted, each is split as any value is."""
    if piece.quoted and piece.name == "@":
        return list(arguments)
    if not scope.splits or (piece.quoted and None in arguments):
        return [None]
    if piece.quoted:
        return [" ".join(each or "" for each in arguments)]
    word = Word((Parameter("each"),))
    values = [{} if each is None else {"each": each} for each in arguments]
    return [field for value in values for field in expand(word, value, lambda _: None)]


def feeds(redirect: Redirect | HereDocument) -> bool:
    """Whether standard input is what a redirection opens."""
    opens = isinstance(redirect, HereDocument) or redirect.operator.startswith("<")
    return opens and redirect.descriptor in {"", "0"}


def line(text: str | None) -> str | None:
    """Text as a here-string gives it."""
    return None if text is None else text + "\n"
