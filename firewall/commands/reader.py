"""Collect every command of a shell text or a command line: a walk over what the grammar read."""

import re
from collections.abc import Sequence

from firewall.commands.bash.builtins import BUILTINS, EVALUATES, SOURCES, SPECIAL
from firewall.commands.bash.expand import Named, Pattern, tail
from firewall.commands.bash.grammar import parse
from firewall.commands.bash.scope import Scope, names_set
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
from firewall.commands.expander import feeds
from firewall.commands.generators import prints_own_code
from firewall.commands.loose import decided_by_options, is_loose
from firewall.commands.miners import inspect_miners
from firewall.commands.record import ExhaustedError, Via
from firewall.commands.runner import Runner
from firewall.commands.wrappers.settings import variable_runs
from firewall.commands.wrappers.unwrap import program

COMMANDS = 2000
TEXTS = 12
SIZE = 65_536
"""Longer texts are not read to their end: no person writes them, and p99 must stay small."""

_DECLARES = frozenset({"declare", "local", "typeset", "readonly"})
_ASSIGNS = _DECLARES | {"export"}
"""Builtins that may have assignments behind them, too."""
_FIXES = re.compile(r"-[a-zA-Z]*r")
_STRICT_SHELLS = {"sh", "bash", "dash", "ash"}
"""Shells that take no value of an option in the word of the option itself."""
_EVALUATED = (["eval", None], ["source", None], [".", None])
_PASS_ON = frozenset({"tee", "dd"})
"""Programs that write their standard input into files."""


class Reader(Runner):
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
        self.keep(writes, Compound(node.kind, bodies=node.bodies), scope, stdin)
        if reads or writes:
            self.record((), scope, via, reads, tuple(writes))
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
                inner.assign(node.name, value)
            self.read_script(body, inner, (*via, "for"), stdin)
            scope.keep_common(inner)

    # Simple commands

    def _simple(self, node: Simple, scope: Scope, via: Via, stdin: str | None) -> None:
        words, loose = self._words(node, scope, via)
        if words in _EVALUATED and prints_own_code(node.words[1], scope):
            words.pop()
            scope.variables.clear()
        self._assign(node, scope, via, lasting=not words or words[0] in _ASSIGNS)
        if words and (words[0] in SPECIAL or words[0] in scope.functions):
            scope.forget({each.name for each in node.assignments})
        if words and words[0] in _DECLARES:
            self._declare(node, words, scope)
        stdin, reads, writes = self.redirects(node.redirects, scope, via, stdin)
        if words == ["exec"] and any(map(feeds, node.redirects)):
            self.hide("the shell reads on from a file", node.text)
        first = len(self.commands)
        if words or reads or writes:
            self.read_words(words, scope, via, stdin, reads, tuple(writes), node.text)
        self.keep(writes, Simple((), node.words, ()), scope, stdin)
        if loose and (name := decided_by_options(self.commands[first:])):
            self.hide(f"options of {name} that are only known when it runs", node.text)
        if words:
            self.note_sockets(node, words)

    def _declare(self, node: Simple, words: Sequence[str | None], scope: Scope) -> None:
        named = {each.name for each in node.assignments} | set(filter(None, words))
        self._locals |= named
        if words[0] == "local" and not self._active:  # an error, which assigns nothing
            scope.forget(named)
        if words[0] == "readonly" or any(word and _FIXES.match(word) for word in words):
            scope.fixed |= named

    def _words(self, node: Simple, scope: Scope, via: Via) -> tuple[list[str | None], bool]:
        """Its words, and whether more options may be among them than can be read."""
        words, loose = list[str | None](), False
        for word in node.words:
            fields = self.fields(word, scope, via)
            loose = loose or is_loose(word, fields)
            if fields == [None] and not word.splits and _names_a_file(words):
                fields = [self._named(tail(word), scope)]
            words += fields
        return words, loose

    def _named(self, name: str, scope: Scope) -> str | None:
        """A program by its name alone, as one is that a shell looks for: its folder is unknown."""
        ours = name in BUILTINS or name in SPECIAL or name in scope.functions
        return None if ours or not name or name in scope.aliases else Named(name)

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
            if lasting and assigned.array:
                fields = [each for word in assigned.words for each in self.again(word, scope)]
                scope.fill(assigned.name, fields, append=not assigned.plain)
            elif lasting and assigned.plain and value is not None and not assigned.subscript:
                scope.assign(assigned.name, value)
            elif lasting:
                scope.forget({assigned.name})

    def _setting(self, assigned: Assignment, value: str | None, scope: Scope, via: Via) -> None:
        self.assigned.add(assigned.name)
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
        passed = stdin if stdin and program(words) in _PASS_ON else None
        self.record(words, scope, via, reads, writes, passed)
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
            self.read_runs(
                words, scope, via, stdin, reads
            )  # `command` and others know no functions
            return
        if words[0] in scope.aliases:
            rest = " ".join("'" + (w or "").replace("'", "'\\''") + "'" for w in words[1:])
            alias = scope.aliases.pop(words[0])
            self.read_text(f"{alias} {rest}", scope, (*via, "alias"))
            scope.aliases[words[0]] = alias
        self.read_file(words, scope, via, stdin)
        self._builtin(words, scope, via, stdin)
        self.read_runs(words, scope, via, stdin, reads)

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
        if name in EVALUATES:
            self.assigned.update(word for word in words[1:] if word)
            self.read_evaluated(words[1:], scope, via)
        if builtin := BUILTINS.get(words[0] or ""):
            for inner in builtin(list(words[1:]), scope):
                self.read_inner(inner, scope, via, stdin)


def _names_a_file(before: Sequence[str | None]) -> bool:
    """Whether the word behind these is a program or a script, and can be no option with a slash."""
    return not before or (len(before) == 1 and before[0] in SOURCES | _STRICT_SHELLS)
