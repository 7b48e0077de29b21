"""Collect every command of a shell text or a command line: a walk over what the grammar read."""

import posixpath
import re
from collections.abc import Sequence

from firewall.commands.bash.builtins import BUILTINS
from firewall.commands.bash.expand import Pattern
from firewall.commands.bash.grammar import parse
from firewall.commands.bash.scope import Scope, inside, names_set
from firewall.commands.bash.syntax import (
    Assignment,
    Chain,
    Compound,
    Function,
    Node,
    Pipeline,
    Script,
    Simple,
    Text,
)
from firewall.commands.expander import Expander, feeds
from firewall.commands.loose import decided_by_options, is_loose
from firewall.commands.miners import inspect_miners
from firewall.commands.record import ExhaustedError, Via
from firewall.commands.wrappers.code import given, interpreter_of, is_language, takes_code
from firewall.commands.wrappers.inner import Hidden, Inner, Input, Run
from firewall.commands.wrappers.recipes import edited, recipe
from firewall.commands.wrappers.settings import INPUT_LANGUAGES, in_language, variable_runs
from firewall.commands.wrappers.unwrap import program, unwrap

COMMANDS = 2000
TEXTS = 12
SIZE = 65_536
"""Longer texts are not read to their end: no person writes them, and p99 must stay small."""

_EVALUATES = frozenset(
    {"test", "[", "let", "declare", "typeset", "local", "export", "readonly", "unset", "read"}
    | {"printf", "mapfile", "readarray", "wait", "getopts"}
)
_MAKES_LOCAL = frozenset({"declare", "local", "typeset"})
_COPIES = frozenset({"cp", "mv", "ln", "install"})
_DESCRIPTORS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
_STDIN = re.compile(r"/(?:stdin|fd/0)\Z")


class Reader(Expander):
    """One reading. Methods named `read_*` take what is to be read and record what they find."""

    def __init__(self) -> None:
        super().__init__()
        self._texts = 0
        self._active: set[str] = set()
        self._locals: set[str] = set()
        self._again: set[str] = set()
        self._uncalled: dict[str, tuple[Function, Scope, Via]] = {}

    @staticmethod
    def scope(directory: str) -> Scope:
        return Scope(directory, {"HOME": "~"})

    def read_text(self, text: str, scope: Scope, via: Via, stdin: str | None = "") -> None:
        self._texts += 1
        self.spend(1 + len(text) // 64)
        if self._texts > TEXTS:
            self.hide("shell texts inside shell texts are nested too deeply", text)
        elif len(text) > SIZE:
            self.hide("shell text is too long", text)
        else:
            script, error = parse(text)
            if error and not (error.rejected and "\n" not in text):
                self.hide(error.why, error.text)
            self.read_script(script, scope, via, stdin)
            self._read_uncalled()
        self._texts -= 1

    def _read_uncalled(self) -> None:
        while self._uncalled:
            function, scope, via = self._uncalled.pop(next(iter(self._uncalled)))
            inner = scope.copy()
            inner.arguments = None
            self._active.add(function.name)
            self.read_node(function.body, inner, (*via, "function"), None)
            self._active.discard(function.name)

    def read_script(self, script: Script, scope: Scope, via: Via, stdin: str | None = "") -> None:
        for node in script.commands:
            self.read_node(node, scope, via, stdin)

    def read_node(self, node: Node, scope: Scope, via: Via, stdin: str | None) -> None:
        self.spend(1)
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
            stdin = self.output(command, scope, stdin)
        self.tie(firsts)

    def _chain(self, node: Chain, scope: Scope, via: Via, stdin: str | None) -> None:
        self.read_node(node.commands[0], scope, via, stdin)
        before = scope.copy()
        for command in node.commands[1:]:
            self.read_node(command, scope, via, stdin)
        scope.keep_common(before)

    def _compound(self, node: Compound, scope: Scope, via: Via, stdin: str | None) -> None:
        words = [field for word in node.words for field in self.fields(word, scope, via)]
        stdin, reads, writes = self.redirects(node.redirects, scope, via, stdin)
        if reads or writes:
            self.record((), scope, via, reads, writes)
        if node.kind in {"test", "arithmetic"}:
            self.read_evaluated(words, scope, via)
        if node.kind == "for":
            self._for(node, words, scope, via, stdin)
            return
        if node.kind == "loop":
            self._loop(node, scope, (*via, "loop"), None if stdin else "")
        elif node.kind in {"case", "if"}:
            before = scope.copy()
            for body in node.bodies:
                self.read_script(body, scope, (*via, node.kind), stdin)
                scope.keep_common(before)
        elif node.kind == "group":
            self.read_script(node.bodies[0], scope, via, stdin)
        else:
            for body in node.bodies:
                self.read_script(body, scope.copy(), (*via, node.kind), stdin)

    def _loop(self, node: Compound, scope: Scope, via: Via, stdin: str | None) -> None:
        """Read again where its first round changed in a hidden way (eval) what the next knows."""
        for body in node.bodies:
            scope.forget(names_set(body))
        for _ in range(2):
            before = scope.copy()
            for body in node.bodies:
                self.read_script(body, scope, via, stdin)
            if scope.keep_common(before):
                return

    def _for(
        self, node: Compound, words: list[str | None], scope: Scope, via: Via, stdin: str | None
    ) -> None:
        """A loop over few literal words is read once for each, so that its variable is known."""
        self.read_evaluated(words, scope, via)
        if patterns := [str(word) for word in words if isinstance(word, Pattern)]:
            self.record((), scope, via, patterns, ())
        body = node.bodies[0]
        scope.forget(names_set(body) | {node.name})
        known = node.words and None not in words and not any(isinstance(w, Pattern) for w in words)
        for value in words if known and len(words) <= 8 and self._texts <= 2 else [None]:
            inner = scope.copy()
            if value is not None:
                inner.variables[node.name] = value
            self.read_script(body, inner, (*via, "for"), stdin)
            scope.keep_common(inner)

    # Simple commands

    def _simple(self, node: Simple, scope: Scope, via: Via, stdin: str | None) -> None:
        words, loose = self._words(node, scope, via)
        self._assign(node, scope, via, lasting=not words or words[0] in _EVALUATES)
        if words and words[0] in _MAKES_LOCAL:
            named = {each.name for each in node.assignments} | set(filter(None, words))
            self._locals |= named
            if words[0] == "local" and not self._active:  # an error, which assigns nothing
                scope.forget(named)
        stdin, reads, writes = self.redirects(
            node.redirects,
            scope,
            via,
            stdin,
            self.output(Simple((), node.words, ()), scope, stdin) if words else None,
        )
        if stdin and words and words[0] in {"cat", "tee", "dd"}:
            for name in [*writes, *words[1:]]:
                scope.write((name or "").removeprefix("of="), stdin, append=False)
        if words == ["exec"] and any(map(feeds, node.redirects)):
            self.hide("the shell reads on from a file", node.text)
        first = len(self.commands)
        if words or reads or writes:
            self.read_words(words, scope, via, stdin, reads, writes, node.text)
        if loose and (name := decided_by_options(self.commands[first:])):
            self.hide(f"options of {name} that are only known when it runs", node.text)
        if words:
            self.note_sockets(node, words)

    def _words(self, node: Simple, scope: Scope, via: Via) -> tuple[list[str | None], bool]:
        """Its words, and whether more options may be among them than can be read."""
        words, loose = list[str | None](), False
        for word in node.words:
            fields = self.fields(word, scope, via)
            loose = loose or is_loose(word, fields)
            words += fields
        return words, loose

    def _assign(self, node: Simple, scope: Scope, via: Via, *, lasting: bool) -> None:
        for assigned in node.assignments:
            for word in assigned.words:
                self.fields(word, scope, via)
            if assigned.subscript:
                self.read_piece(assigned.subscript, scope, via)
                self.read_subscripts([assigned.subscript.arithmetic], scope, via)
            values = [self.literal(word, scope) for word in assigned.words]
            self.read_evaluated(values, scope, via)
            value = values[0] if len(values) == 1 else None
            self._setting(assigned, value, scope, via)
            if lasting and assigned.plain and value is not None and not assigned.subscript:
                scope.variables[assigned.name] = value
            elif lasting:
                scope.forget({assigned.name})

    def _setting(self, assigned: Assignment, value: str | None, scope: Scope, via: Via) -> None:
        if value is None and assigned.name == "PATH" and assigned.words:
            pieces = assigned.words[0].pieces
            value = "".join(p.text if isinstance(p, Text) else "/unknown" for p in pieces)
        if value and "://" in value:
            self.findings += inspect_miners("export", [f"{assigned.name}={value}"])
        for inner in variable_runs(assigned.name, value):
            self.read_inner(inner, scope, via, "")

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
            raise ExhaustedError
        self.spend(1 + len(words) // 16)
        self.record(words, scope, via, reads, writes)
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
        name = posixpath.normpath(words[0])
        if name in scope.files or (name in scope.touched and name not in scope.copies):
            self._script(scope.file(name), scope, via)
        if copied := scope.copies.pop(name, ""):
            self.read_words([copied, *words[1:]], scope, (*via, "a copy"), stdin)
            scope.copies[name] = copied
        if program(words) in _COPIES and len(words) > 2:
            self._copied(words[-2] or "", words[-1] or "", scope)
        self._builtin(words, scope, via, stdin)
        self._inner(words, scope, via, stdin, reads)

    def _copied(self, source: str, target: str, scope: Scope) -> None:
        if source and target and not source.startswith(_DESCRIPTORS):
            scope.copies[posixpath.normpath(target)] = source

    def _script(self, text: str | None, scope: Scope, via: Via) -> None:
        """A file that this text wrote before is run, by what its first line or `via` names."""
        if text is None:
            self.hide("a file is run whose text is only known when it is written")
            return
        first = text.partition("\n")[0]
        name = interpreter_of(first) if first.startswith("#!") else "".join(via[-1:])
        if is_language(name):
            for inner in given(name, text):
                self.read_inner(inner, scope, via, "")
        else:
            self.read_text(text, scope, (*via, "script"))

    def _call(self, words: Sequence[str | None], scope: Scope, via: Via, stdin: str | None) -> None:
        name = words[0] or ""
        if len(self._active) > 8:
            self.hide("functions are called too deeply", name)
            return
        if name in self._active:
            self._call_again(name, scope, via)
            return
        self._uncalled.pop(name, None)
        self._active.add(name)
        outer, scope.arguments = scope.arguments, list(words[1:])
        locals_of_outer, self._locals = self._locals, set()
        numbered = {str(at): word for at, word in enumerate(words[1:10], 1) if word is not None}
        before = {key: scope.variables.pop(key) for key in list(scope.variables) if key.isdigit()}
        scope.variables |= numbered
        self.read_node(scope.functions[name], scope, (*via, "function"), stdin)
        scope.forget(set(numbered) | self._locals)
        self._locals = locals_of_outer
        scope.variables |= before
        scope.arguments = outer
        self._active.discard(name)

    def _call_again(self, name: str, scope: Scope, via: Via) -> None:
        """A function that calls itself is read once more, with nothing known that it changes."""
        if name in self._again:
            return
        self._again.add(name)
        inner, body = scope.copy(), scope.functions[name]
        inner.arguments = None
        inner.forget(names_set(body) | {each for each in inner.variables if each.isdigit()})
        self.read_node(body, inner, (*via, "function"), None)
        self._again.discard(name)

    def _builtin(
        self, words: Sequence[str | None], scope: Scope, via: Via, stdin: str | None
    ) -> None:
        name = program(words)
        if name in _EVALUATES:
            self.read_evaluated(words[1:], scope, via)
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
        scope.touched.update(edited(name, words, stdin))
        self.spend(len(scope.touched) // 16)
        if scope.touched and (file := recipe(name, words, scope.touched)):
            self.hide(f"{name} runs what this text wrote into {file}")
        if stdin and name in INPUT_LANGUAGES:
            for inner in in_language(stdin, name):
                self.read_inner(inner, scope, via, "")
        if stdin and takes_code(name, words):
            for inner in given(name, stdin):
                self.read_inner(inner, scope, via, "")

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
            if inner.words and (inner.words[0] or "").startswith(_DESCRIPTORS):
                self._given(stdin if _STDIN.search(inner.words[0] or "") else None, scope, via)
            elif inner.words:
                self.read_words(inner.words, scope, via, stdin)
        elif inner.text is None:
            self.hide(f"the text that {inner.via} runs is only known when it runs")
        else:
            shared = inner.via in {"eval", "source"}
            self.read_text(inner.text, scope if shared else scope.copy(), via, stdin)

    def _given(self, stdin: str | None, scope: Scope, via: Via) -> None:
        if stdin is None:
            self.hide(f"{via[-1]} reads its commands from what is only known when it runs")
        elif stdin:
            self.read_text(stdin, scope.copy(), via)
