"""Collect every command of a shell text or a command line: a walk over what the grammar read."""

import re
from collections.abc import Sequence

from firewall.commands.bash.builtins import BUILTINS
from firewall.commands.bash.expand import Pattern, expand, literal
from firewall.commands.bash.grammar import Grammar, parse
from firewall.commands.bash.produce import MAKERS, produce
from firewall.commands.bash.scope import Scope, inside, names_set
from firewall.commands.bash.syntax import (
    Assignment,
    Chain,
    Compound,
    Function,
    HereDocument,
    Node,
    Pipeline,
    Redirect,
    Script,
    Simple,
    Substitution,
    Text,
    Unknown,
    Unreadable,
    Word,
)
from firewall.commands.intents import facts_of
from firewall.commands.reading import Reading
from firewall.commands.sockets import CARRIERS, Sockets, host_of
from firewall.commands.wrappers.code import texts_in
from firewall.commands.wrappers.inner import Hidden, Inner, Input, Run
from firewall.commands.wrappers.settings import in_language, variable_runs
from firewall.commands.wrappers.shells import is_shell
from firewall.commands.wrappers.unwrap import program, unwrap
from firewall.requests import Command, Finding, Intent, Opaque

EXCERPT = 200
COMMANDS = 2000
TEXTS = 12
SIZE = 262_144
"""Longer texts are not read to their end: no person writes them, and p99 must stay small."""

_EVALUATES = frozenset(
    [
        "test",
        "[",
        "let",
        "declare",
        "typeset",
        "local",
        "export",
        "readonly",
        "unset",
        "read",
        "printf",
        "mapfile",
        "readarray",
        "wait",
        "getopts",
    ]
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INPUT_LANGUAGES = frozenset(
    {"ed", "red", "psql", "mysql", "gdb", "lldb", "sqlite3", "ftp", "ex", "vim", "vi"}
)
_INPUT_CODE = re.compile(r"(?:python|pypy|perl|ruby|node|php|lua|tclsh|expect|osascript)[0-9.]*")

type Via = tuple[str, ...]


class Reader:
    """One reading. Methods named `read_*` take what is to be read and record what they find."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.opaque: list[Opaque] = []
        self.findings: list[Finding] = []
        self.sockets = Sockets()
        self._texts = 0
        self._active: set[str] = set()
        self._uncalled: dict[str, tuple[Function, Scope, Via]] = {}

    def reading(self) -> Reading:
        return Reading(
            tuple(self.commands),
            tuple(dict.fromkeys(self.opaque)),
            tuple(dict.fromkeys(self.findings)),
        )

    def hide(self, why: str, text: str = "") -> None:
        self.opaque.append(Opaque(why, text[:EXCERPT]))

    # Text

    def read_text(self, text: str, scope: Scope, via: Via) -> None:
        self._texts += 1
        if self._texts > TEXTS:
            self.hide("shell texts inside shell texts are nested too deeply", text)
        elif len(text) > SIZE:
            self.hide("shell text is too long", text)
        else:
            script, error = parse(text)
            if error and not (error.rejected and "\n" not in text):
                self.hide(error.why, error.text)
            self.read_script(script, scope, via)
            self._read_uncalled()
        self._texts -= 1

    def _read_uncalled(self) -> None:
        while self._uncalled:
            function, scope, via = self._uncalled.pop(next(iter(self._uncalled)))
            inner = scope.copy()
            inner.arguments = None
            self.read_node(function.body, inner, (*via, "function"), None)

    def read_script(self, script: Script, scope: Scope, via: Via, stdin: str | None = "") -> None:
        for node in script.commands:
            self.read_node(node, scope, via, stdin)

    def read_node(self, node: Node, scope: Scope, via: Via, stdin: str | None) -> None:
        match node:
            case Simple():
                self._simple(node, scope, via, stdin)
            case Pipeline():
                self._pipeline(node, scope, via, stdin)
            case Chain():
                self._chain(node, scope, via, stdin)
            case Compound():
                self._compound(node, scope, via, stdin)
            case Function():
                scope.functions[node.name] = node.body
                self._uncalled[node.name] = (node, scope, via)

    def _pipeline(self, node: Pipeline, scope: Scope, via: Via, stdin: str | None) -> None:
        via = (*via, "pipeline")
        firsts: list[int] = []
        for command in node.commands:
            firsts.append(len(self.commands))
            self.read_node(command, scope.copy(), via, stdin)
            stdin = self._output(command, scope, stdin)
        self._tie(firsts)

    def _tie(self, firsts: list[int]) -> None:
        """A shell beside a program that carries bytes to a host: a shell for who is there."""
        stages = [self.commands[first] for first in firsts if first < len(self.commands)]
        names = [program(stage.words) for stage in stages]
        for at, first in enumerate(firsts):
            others = [stage for stage, name in zip(stages, names, strict=True) if name in CARRIERS]
            if at < len(names) and is_shell(names[at]) and others:
                downloads = all(program(other.words) in {"curl", "wget"} for other in others)
                if not downloads:
                    self._add_intent(
                        first,
                        Intent(
                            "reverse-shell",
                            host_of(others[0].words),
                            "a shell joined to a connection",
                        ),
                    )
            if 0 < at < len(names) and is_shell(names[at]):
                fetched = [
                    i for stage in stages[:at] for i in stage.intents if i.name == "download"
                ]
                if fetched:
                    self._add_intent(
                        first,
                        Intent("remote-code", fetched[0].target, "a download is run by a shell"),
                    )

    def _add_intent(self, index: int, intent: Intent) -> None:
        old = self.commands[index]
        self.commands[index] = Command(
            old.words, old.via, old.directory, (*old.intents, intent), old.reads, old.writes
        )

    def _chain(self, node: Chain, scope: Scope, via: Via, stdin: str | None) -> None:
        self.read_node(node.commands[0], scope, via, stdin)
        before, directory = dict(scope.variables), scope.directory
        for command in node.commands[1:]:
            self.read_node(command, scope, via, stdin)
        scope.keep_common(before, directory)

    def _compound(self, node: Compound, scope: Scope, via: Via, stdin: str | None) -> None:
        words = [field for word in node.words for field in self._fields(word, scope, via)]
        stdin, _, _ = self._redirects(node.redirects, scope, via, stdin)
        if node.kind in {"test", "arithmetic"}:
            self._evaluated(words, scope, via)
        if node.kind == "for":
            self._for(node, words, scope, via, stdin)
            return
        if node.kind in {"loop", "case", "if"}:
            for body in node.bodies if node.kind == "loop" else ():
                scope.forget(names_set(body))
            before, directory = dict(scope.variables), scope.directory
            for body in node.bodies:
                self.read_script(
                    body,
                    scope,
                    (*via, node.kind),
                    stdin if node.kind != "loop" else None if stdin else "",
                )
                if node.kind != "loop":
                    scope.keep_common(before, directory)
            scope.keep_common(before, directory)
        elif node.kind == "group":
            self.read_script(node.bodies[0], scope, via, stdin)
        else:
            for body in node.bodies:
                self.read_script(body, scope.copy(), (*via, node.kind), stdin)

    def _for(
        self, node: Compound, words: list[str | None], scope: Scope, via: Via, stdin: str | None
    ) -> None:
        """A loop over few literal words is read once for each, so that its variable is known."""
        body = node.bodies[0]
        scope.forget(names_set(body) | {node.name})
        known = node.words and None not in words and not any(isinstance(w, Pattern) for w in words)
        for value in words if known and len(words) <= 8 and self._texts <= 2 else [None]:
            inner = scope.copy()
            if value is not None:
                inner.variables[node.name] = value
            self.read_script(body, inner, (*via, "for"), stdin)

    # Words

    def _fields(self, word: Word, scope: Scope, via: Via) -> list[str | None]:
        for piece in word.pieces:
            self._piece(piece, scope, via)
        return self._expanded(word, scope)

    def _expanded(self, word: Word, scope: Scope) -> list[str | None]:
        names = [getattr(piece, "name", "") for piece in word.pieces]
        if names in (["@"], ["*"]) and scope.arguments is not None:
            return list(scope.arguments)
        return expand(word, scope.variables, lambda piece: self._written(piece, scope))

    def _piece(self, piece: object, scope: Scope, via: Via) -> None:
        if isinstance(piece, Substitution):
            self.read_script(piece.script, scope.copy(), (*via, piece.kind))
        elif isinstance(piece, Unknown):
            for inner in piece.inner:
                self._piece(inner, scope, via)
            if piece.sets:
                scope.forget({piece.sets})
            scope.forget(
                set(_IDENTIFIER.findall(piece.arithmetic))
                if "=" in piece.arithmetic or "++" in piece.arithmetic
                else set()
            )

    def _literal(self, word: Word | None, scope: Scope) -> str | None:
        if word is None:
            return ""
        return literal(word, scope.variables, lambda piece: self._written(piece, scope))

    def _written(self, piece: Substitution, scope: Scope) -> str | None:
        if len(piece.script.commands) != 1:
            return None
        text = self._output(piece.script.commands[0], scope, "")
        return None if text is None else text.rstrip("\n")

    def _output(self, node: Node, scope: Scope, stdin: str | None) -> str | None:
        """What a command writes, if that can be told without running it."""
        if isinstance(node, Pipeline):
            for command in node.commands:
                stdin = self._output(command, scope, stdin)
            return stdin
        if not isinstance(node, Simple) or node.assignments or not node.words:
            return None
        if (node.words[0].bare or "").rpartition("/")[2] not in MAKERS:
            return None
        for redirect in node.redirects:
            if isinstance(redirect, HereDocument):
                stdin = self._literal(redirect.body, scope)
            elif redirect.operator == "<<<":
                stdin = _line(self._literal(redirect.target, scope))
            elif not (redirect.descriptor == "2" and redirect.operator.startswith(">")):
                return None
        words = [field for word in node.words for field in self._expanded(word, scope)]
        if words[:1] and words[0] in scope.functions:
            return None
        if words[:1] == ["cat"] and len(words) == 2 and words[1]:
            return scope.files.get(words[1])
        return produce(words, stdin)

    # Simple commands

    def _simple(self, node: Simple, scope: Scope, via: Via, stdin: str | None) -> None:
        words = [field for word in node.words for field in self._fields(word, scope, via)]
        self._assign(node, scope, via, lasting=not words or words[0] in _EVALUATES)
        stdin, reads, writes = self._redirects(
            node.redirects,
            scope,
            via,
            stdin,
            self._output(Simple((), node.words, ()), scope, stdin) if words else None,
        )
        if words or reads or writes:
            self.read_words(words, scope, via, stdin, reads, writes, node.text)
        if words:
            self._sockets(node, words)

    def _sockets(self, node: Simple, words: Sequence[str | None]) -> None:
        ties = [
            self._literal(r.target, Scope()) or ""
            for r in node.redirects
            if isinstance(r, Redirect)
        ]
        fds = [r.descriptor.strip("{}") for r in node.redirects if isinstance(r, Redirect)]
        host = self.sockets.note(words, fds, ties)
        shell = words[0] is None or is_shell(program(words)) or program(words) == "eval"
        if host and shell and self.commands:
            self._add_intent(
                len(self.commands) - 1,
                Intent("reverse-shell", host, "a shell tied to a connection"),
            )

    def _assign(self, node: Simple, scope: Scope, via: Via, *, lasting: bool) -> None:
        for assigned in node.assignments:
            for word in assigned.words:
                self._fields(word, scope, via)
            if assigned.subscript:
                self._piece(assigned.subscript, scope, via)
                self._subscripts([assigned.subscript.arithmetic], scope, via)
            value = self._literal(assigned.words[0], scope) if len(assigned.words) == 1 else None
            self._setting(assigned, value, scope, via)
            if lasting and assigned.plain and value is not None and not assigned.subscript:
                scope.variables[assigned.name] = value
            elif lasting:
                scope.forget({assigned.name})

    def _setting(self, assigned: Assignment, value: str | None, scope: Scope, via: Via) -> None:
        if value is None and assigned.name == "PATH" and assigned.words:
            pieces = assigned.words[0].pieces
            value = "".join(p.text if isinstance(p, Text) else "/unknown" for p in pieces)
        for inner in variable_runs(assigned.name, value):
            self.read_inner(inner, scope, via, "")

    def _redirects(
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
            fields = self._fields(redirect.target, scope, via)
            if redirect.operator == "<<<":
                stdin = _line(self._literal(redirect.target, scope))
                continue
            name = fields[0] if len(fields) == 1 else None
            if redirect.operator in {"<", "<>"}:
                stdin = scope.files.get(name or "") if redirect.descriptor in {"", "0"} else stdin
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
            self._piece(piece, scope, via)
        return self._literal(document.body, scope)

    def read_words(
        self,
        words: Sequence[str | None],
        scope: Scope,
        via: Via,
        stdin: str | None = "",
        reads: Sequence[str] = (),
        writes: Sequence[str] = (),
        text: str = "",
    ) -> None:
        """Record one command and read what it runs."""
        if len(self.commands) >= COMMANDS:
            if len(self.commands) == COMMANDS:
                self.hide("there are too many commands to read", text)
            return
        self._record(words, scope, via, reads, writes)
        if not words:
            return
        if words[0] is None or isinstance(words[0], Pattern):
            self.hide(
                "which program runs is only known when it runs",
                text or " ".join(w or "?" for w in words),
            )
            return
        if words[0] in scope.functions:
            self._call(words, scope, via, stdin)
            return
        if words[0] in scope.aliases:
            rest = " ".join("'" + (w or "").replace("'", "'\\''") + "'" for w in words[1:])
            alias = scope.aliases.pop(words[0])
            self.read_text(f"{alias} {rest}", scope, (*via, "alias"))
            scope.aliases[words[0]] = alias
        if words[0] in scope.files:
            self._script(scope.files[words[0]], scope, via)
        self._builtin(words, scope, via, stdin)
        self._inner(words, scope, via, stdin, reads)

    def _record(
        self,
        words: Sequence[str | None],
        scope: Scope,
        via: Via,
        reads: Sequence[str],
        writes: Sequence[str],
    ) -> None:
        facts = facts_of([str(word) if word is not None else None for word in words])
        self.findings += facts.findings
        plain = tuple(str(word) if word is not None else None for word in words)
        self.commands.append(
            Command(
                plain,
                via,
                scope.directory,
                facts.intents,
                (*facts.reads, *reads),
                (*facts.writes, *writes),
            )
        )

    def _script(self, text: str, scope: Scope, via: Via) -> None:
        """A file that this text wrote before is run."""
        first = text.partition("\n")[0]
        if first.startswith("#!") and not re.search(r"sh\b", first):
            for inner in texts_in(text):
                self.read_inner(inner, scope, via, "")
        else:
            self.read_text(text, scope, (*via, "script"))

    def _call(self, words: Sequence[str | None], scope: Scope, via: Via, stdin: str | None) -> None:
        name = words[0] or ""
        if name in self._active or len(self._active) > 8:
            return
        self._uncalled.pop(name, None)
        self._active.add(name)
        outer, scope.arguments = scope.arguments, list(words[1:])
        numbered = {str(at): word for at, word in enumerate(words[1:10], 1) if word is not None}
        before = {key: scope.variables.pop(key) for key in list(scope.variables) if key.isdigit()}
        scope.variables |= numbered
        self.read_node(scope.functions[name], scope, (*via, "function"), stdin)
        scope.forget(set(numbered))
        scope.variables |= before
        scope.arguments = outer
        self._active.discard(name)

    def _builtin(
        self, words: Sequence[str | None], scope: Scope, via: Via, stdin: str | None
    ) -> None:
        name = program(words)
        if name in _EVALUATES:
            self._evaluated(words[1:], scope, via)
        if builtin := BUILTINS.get(words[0] or ""):
            for inner in builtin(list(words[1:]), scope):
                self.read_inner(inner, scope, via, stdin)

    def _inner(
        self,
        words: Sequence[str | None],
        scope: Scope,
        via: Via,
        stdin: str | None,
        reads: Sequence[str],
    ) -> None:
        for inner in unwrap(words):
            if isinstance(inner, Input) and stdin is None and len(reads) == 1:
                self.read_inner(Run(list(reads), inner.via), scope, via, "")
            else:
                self.read_inner(inner, scope, via, stdin)
        name = program(words)
        if stdin and name in _INPUT_LANGUAGES:
            for inner in in_language(stdin, name):
                self.read_inner(inner, scope, via, "")
        if stdin and _INPUT_CODE.fullmatch(name) and (len(words) == 1 or "-" in words):
            for inner in texts_in(stdin):
                self.read_inner(inner, scope, via, "")

    def _evaluated(self, words: Sequence[str | None], scope: Scope, via: Via) -> None:
        """Builtins that evaluate subscripts run the substitutions in them, quoted or not."""
        self._subscripts([word for word in words if word and "[" in word], scope, via)

    def _subscripts(self, texts: Sequence[str], scope: Scope, via: Via) -> None:
        for text in texts:
            if "$(" in text or "`" in text:
                try:
                    body = Grammar(text).body()
                except Unreadable as error:
                    self.hide(error.why, error.text)
                    continue
                for piece in body.pieces:
                    self._piece(piece, scope, (*via, "subscript"))

    # What commands run

    def read_inner(self, inner: Inner, scope: Scope, via: Via, stdin: str | None) -> None:
        if isinstance(inner, Hidden):
            self.hide(inner.why)
            return
        via = (*via, inner.via)
        if len(via) > 64:
            self.hide("commands are nested too deeply")
            return
        if isinstance(inner, Input):
            self._given(stdin, scope, via)
            return
        if inner.elsewhere or inner.directory is not None:
            scope = scope.copy()
            scope.directory = "" if inner.elsewhere else inside(scope.directory, inner.directory)
        if isinstance(inner, Run):
            if inner.words:
                self.read_words(inner.words, scope, via, stdin)
        elif inner.text is None:
            self.hide(f"the text that {inner.via} runs is only known when it runs")
        else:
            shared = inner.via in {"eval", "source"}
            self.read_text(inner.text, scope if shared else scope.copy(), via)

    def _given(self, stdin: str | None, scope: Scope, via: Via) -> None:
        if stdin is None:
            self.hide(f"{via[-1]} reads its commands from what is only known when it runs")
        elif stdin:
            self.read_text(stdin, scope.copy(), via)


def _line(text: str | None) -> str | None:
    return None if text is None else text + "\n"
