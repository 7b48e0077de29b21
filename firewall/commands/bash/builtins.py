"""Builtins that change what the rest of a text means, or that run text."""

import itertools
import re
from collections.abc import Callable, Iterator

from firewall.commands.bash.expand import Pattern
from firewall.commands.bash.scope import Scope
from firewall.commands.wrappers.inner import Hidden, Inner, Run, Shell

EVALUATES = frozenset(
    {"test", "[", "let", "declare", "typeset", "local", "export", "readonly", "unset", "read"}
    | {"printf", "mapfile", "readarray", "wait", "getopts"}
)
"""Those whose words may hold subscripts, which are evaluated."""

SOURCES = frozenset({"source", "."})
SPECIAL = SOURCES | {
    "eval", "command", "builtin", "exec", "trap", "set", "shift", "unset", ":", "exit", "return",
    "break", "continue", "times",
}  # fmt: skip
"""Those that see the assignments before them, which end with them in bash and stay in sh."""

_BETWEEN = frozenset({"DEBUG", "ERR", "RETURN"})
_POSITIONAL = set("123456789")

type Builtin = Callable[[list[str | None], Scope], Iterator[Inner]]


def _cd(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    plain = [word for word in words if word not in {"-P", "-L", "-e", "--"}]
    if plain and isinstance(plain[0], Pattern) and plain[0].hides:
        yield Hidden("which hidden folder is entered is only known when it runs")
    scope.enter(plain[0] if plain else "~")


def _popd(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    scope.enter(None)
    yield from ()


def _eval(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    words = words[1:] if words[:1] == ["--"] else words
    known = None not in words
    yield Shell(" ".join(word or "" for word in words) if known else None, "eval")
    if not known:
        scope.variables.clear()


def _source(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    words = words[1:] if words[:1] == ["--"] else words
    if words and words[0] is None:
        yield Hidden("which file is sourced is only known when it runs")
    elif words:
        yield Run(words, "source")
    scope.variables.clear()


def _trap(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    words = words[1:] if words[:1] == ["--"] else words
    if len(words) > 1 and (words[0] is None or not words[0].startswith("-")):
        yield Shell(words[0], "trap")
        if not _BETWEEN.isdisjoint(words[1:]) and "=" in (words[0] or "="):
            yield Hidden("a trap that changes variables between commands")


def _alias(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    for word in words:
        name, equals, text = (word or "").partition("=")
        if word is None:
            yield Hidden("an alias that is only known when it runs")
        elif equals:
            scope.aliases[name] = text
            yield Shell(text, "alias")


def _forget(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    scope.forget({word.partition("[")[0] for word in words if word})
    if None in words:
        scope.variables.clear()
    yield from ()


def _declare(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    """A name alone is a new variable within a function; a quoted word may assign to any."""
    yield from _forget([word and word.partition("=")[0] for word in words], scope)


def _export(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    yield from _declare([word for word in words if word is None or "=" in word], scope)


def _mapfile(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    yield from _forget(words, scope)
    for word, after in itertools.pairwise(words):
        if word == "-C":
            yield Shell(after, "mapfile -C")


def _let(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    scope.forget({(word or "").partition("=")[0].rstrip("+-*/%&|^<>") for word in words})
    yield from ()


def _set(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    if "keyword" in words or any(re.match(r"-\w*k", word) for word in words[:1] if word):
        yield Hidden("assignments behind a program set its environment")
    if "--" in words:
        scope.forget(_POSITIONAL)
        scope.arguments = words[words.index("--") + 1 :]
        scope.variables |= {
            str(at): word for at, word in enumerate(scope.arguments[:9], 1) if word is not None
        }
    elif any(word is None or word[:1] not in ("-", "+") for word in words[:1]):
        scope.forget(_POSITIONAL)


def _shift(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    scope.forget(_POSITIONAL)
    yield from ()


def _bind(words: list[str | None], scope: Scope) -> Iterator[Inner]:
    if "-x" in words:
        yield Hidden("a command bound to a key")


BUILTINS: dict[str, Builtin] = {
    "cd": _cd,
    "pushd": _cd,
    "popd": _popd,
    "chdir": _cd,
    "eval": _eval,
    "source": _source,
    ".": _source,
    "trap": _trap,
    "alias": _alias,
    "read": _forget,
    "unset": _forget,
    "getopts": _forget,
    "wait": _forget,
    "declare": _declare,
    "local": _declare,
    "typeset": _declare,
    "export": _export,
    "readonly": _export,
    "printf": _forget,
    "mapfile": _mapfile,
    "readarray": _mapfile,
    "let": _let,
    "set": _set,
    "shift": _shift,
    "bind": _bind,
}
