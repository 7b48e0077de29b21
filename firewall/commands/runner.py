"""What a command runs in turn: other commands, shell texts, and files that were written before."""

import posixpath
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence

from firewall.commands.bash.scope import Scope, inside
from firewall.commands.expander import Expander
from firewall.commands.record import COPIES, Via
from firewall.commands.wrappers.code import given, interpreter_of, is_language, takes_code
from firewall.commands.wrappers.inner import Hidden, Inner, Input, Run
from firewall.commands.wrappers.recipes import edited, recipes, steps
from firewall.commands.wrappers.settings import INPUT_LANGUAGES, in_language
from firewall.commands.wrappers.unwrap import program, unwrap

type Reads = Callable[[str], Sequence[Inner] | None]

_START_PYTHON = frozenset({"torchrun", "deepspeed", "accelerate launch", "coverage run", "uv run"})
"""Programs that give a file of this ending to Python, whatever its first line."""
DEPTH = 64
"""How many commands may start one another."""
_DESCRIPTORS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/", "/dev/tcp/", "/dev/udp/")
_STDIN = re.compile(r"/(?:stdin|fd/0)\Z")


class Runner(Expander):
    """Looks through commands; the reader reads what they run."""

    @abstractmethod
    def read_words(
        self, words: Sequence[str | None], scope: Scope, via: Via, stdin: str | None = ""
    ) -> None:
        """Record one command and read what it runs."""

    @abstractmethod
    def read_text(self, text: str, scope: Scope, via: Via, stdin: str | None = "") -> None:
        """Record what a shell text runs."""

    def read_runs(
        self,
        words: Sequence[str | None],
        scope: Scope,
        via: Via,
        stdin: str | None,
        reads: Sequence[str],
    ) -> None:
        """Read what the words say, and what stands in standard input and files."""
        self.assigned.update(
            [word.partition("=")[0] for word in words[1:] if word is not None and "=" in word]
        )
        for inner in unwrap(words):
            if isinstance(inner, Input) and stdin is None and len(reads) == 1:
                self.read_inner(Run(list(reads), inner.via), scope, via, "")
            else:
                self.read_inner(inner, scope, via, stdin)
        name = program(words)
        for file in edited(name, words, stdin):
            scope.write(file, None)
        self.spend(len(scope.touched) // 8)
        if scope.touched:
            self._recipes(name, words, scope, via)
        if stdin and name in INPUT_LANGUAGES:
            for inner in in_language(stdin, name):
                self.read_inner(inner, scope, via, "")
        if stdin and takes_code(name, words):
            for inner in given(name, stdin):
                self.read_inner(inner, scope, via, "")

    def _recipes(self, name: str, words: Sequence[str | None], scope: Scope, via: Via) -> None:
        """Files that tell the program what to do, where this text wrote them."""
        for file in recipes(name, words, scope.touched):
            for text in scope.written(file) or [None]:
                self.spend(len(text or "") // 64)
                found = steps(name, words, file, text, self.assigned)
                if found is None:
                    self.hide(f"{name} runs what this text wrote into {file}")
                for inner in found or ():
                    self.read_inner(inner, scope, via, "")

    def read_file(
        self, words: Sequence[str | None], scope: Scope, via: Via, stdin: str | None
    ) -> None:
        """A program that may be a file which this text wrote, or a copy of another one."""
        if len(via) > DEPTH:
            self.hide("commands are nested too deeply")
            return
        if scope.files or scope.copies:
            name = posixpath.basename(posixpath.normpath(words[0] or ""))
            for text in scope.written(name):
                self._script(name, text, scope, via)
            copied = scope.copies.pop(name, set())
            for source in sorted(copied):
                self.read_words([source, *words[1:]], scope, (*via, "a copy"), stdin)
            if copied:
                scope.copies[name] = copied
        if program(words) in COPIES:
            _copied([word for word in words[1:] if word and word[0] != "-"], scope)

    def _script(self, file: str, text: str | None, scope: Scope, via: Via) -> None:
        """A file that this text wrote before is run, by what its first line or `via` names."""
        self.spend(len(text or "") // 64)
        if text is None:
            self.hide("a file is run whose text is only known when it is written")
            return
        first = text.partition("\n")[0]
        name = interpreter_of(first) if first.startswith("#!") else "".join(via[-1:])
        name = "python" if name in _START_PYTHON and file.endswith(".py") else name
        if is_language(name):
            for inner in given(name, text):
                self.read_inner(inner, scope, via, "")
        else:
            shared = via[-1:] == ("source",)
            self.read_text(text, scope if shared else scope.fresh(), (*via, "script"))

    def read_inner(self, inner: Inner, scope: Scope, via: Via, stdin: str | None) -> None:
        if isinstance(inner, Hidden):
            self.hide(inner.why)
            return
        via = (*via, inner.via)
        if len(via) > DEPTH:
            self.hide("commands are nested too deeply")
            return
        if isinstance(inner, Input):
            self._given(stdin, scope, via, inner.read)
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
            self.read_text(inner.text, scope if shared else scope.fresh(), via, stdin)

    def _given(self, stdin: str | None, scope: Scope, via: Via, read: Reads | None = None) -> None:
        found = read(stdin) if read and stdin is not None else ()
        if stdin is None or found is None:
            self.hide(f"{via[-1]} reads its commands from what is only known when it runs")
        elif read:
            for inner in found:
                self.read_inner(inner, scope, via, "")
        elif stdin:
            self.read_text(stdin, scope.fresh(), via)


def _copied(files: Sequence[str], scope: Scope) -> None:
    """cp, mv, ln and install: the last word is the other file, or the folder of all of them."""
    for source in files[:-1]:
        if source.startswith(_DESCRIPTORS):
            scope.write(files[-1], None)
            continue
        for target in {files[-1], source} if len(files) == 2 else {source}:
            name = posixpath.basename(posixpath.normpath(target))
            scope.copies.setdefault(name, set()).add(source)
