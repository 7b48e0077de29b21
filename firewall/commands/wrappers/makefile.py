"""Makefiles and justfiles: the shell text of their recipes, where no more than variables is in it.

GNU make's manual ("Writing Recipes", "Using Variables", "Variables Used by Implicit Rules") and
just's ("Recipes"). Every recipe is read, whichever target is asked for. A variable is known where
it is assigned once, and nothing outside of the file may assign it.
"""

import re
from collections.abc import Collection

from firewall.commands.wrappers.inner import Inner, Shell
from firewall.commands.wrappers.settings import variable_runs

_ASSIGNMENT = re.compile(r"(?:(?:export|override)\s+)*([\w-]+)\s*(:{0,3}=|\+=|\?=)\s*(.*)")
_RULE = re.compile(r"([^\s:=#][^:=#;]*):{1,2}(?![:=])\s*([^;=]*)(?:;(.*))?")
_DIRECTIVE = re.compile(r"(?:-?include|sinclude|load|define|undefine|vpath|private|unexport)\b")
_CONDITION = re.compile(r"(?:else\s+)?ifn?(?:eq|def)\b(.*)")
_USE = re.compile(r"\$(?:\$|\(([^$(){}]*)\)|\{([^$(){}]*)\}|(.))")
_SHELL_SIGN = re.compile(r"[;&|`]|\$\$")
_BUILT_IN = {
    "RM": "rm -f", "CC": "cc", "CXX": "c++", "CPP": "cc -E", "AR": "ar", "AS": "as", "LD": "ld",
    "FC": "f77", "LEX": "lex", "YACC": "yacc", "MAKE": "make", "ARFLAGS": "rv",
    "MAKEFILE_LIST": "Makefile", "CURDIR": ".",
    **dict.fromkeys(("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "LDLIBS", "ASFLAGS"), ""),
}  # fmt: skip
_CHANGES_READING = frozenset({"SHELL", "MAKE", "MAKEFLAGS", "VPATH"})
_FILE = "${make_file}"
"""Stands for file names that are not known, which a shell takes for any words of one command."""
_FILES = dict.fromkeys("@<^+?*", _FILE)
_PLAIN = re.compile(r"[\w./-]+")
_STEP_MARKS = " \t@+-"
_DEPTH, _LENGTH, _USES = 20, 16_384, 4000
"""How deep and long variables may be, and how often they are used."""


class _UnknownError(Exception):
    """Something is not understood."""


def makefile(text: str, given: Collection[str]) -> list[Inner] | None:
    """What the recipes of a makefile run; None where that is not understood.

    `given` are names of variables that are assigned outside of it.
    """
    try:
        return _Makefile(given).read(text)
    except _UnknownError:
        return None


class _Makefile:
    """Variables hold text that is not expanded; None where it may be another one."""

    def __init__(self, given: Collection[str]) -> None:
        self._variables: dict[str, str | None] = {**_BUILT_IN, **dict.fromkeys(given)}
        self._recipes: list[tuple[str, dict[str, str]]] = []
        self._found: list[Inner] = []
        self._rule: dict[str, str] | None = None
        self._conditions = self._uses = 0

    def read(self, text: str) -> list[Inner]:
        for line in re.sub(r"\\\n\t?", "\0", text).split("\n"):
            if not line.startswith("\t"):
                self._line(line.replace("\0", " ").strip())
            elif self._rule is None:
                raise _UnknownError
            else:
                self._recipes.append((line.replace("\0", "\\\n"), self._rule))
        steps = [self._expand(step, names).lstrip(_STEP_MARKS) for step, names in self._recipes]
        return [*self._found, *(Shell(step, "make") for step in steps)]

    def _line(self, line: str) -> None:
        """A line outside of recipes."""
        before, _, _ = line.partition("#")
        line = line if ";" in before else before.strip()
        if condition := _CONDITION.fullmatch(line):
            self._expand(condition[1], {})
            self._conditions += not line.startswith("else")
        elif line == "endif":
            self._conditions -= 1
        elif _DIRECTIVE.match(line) or ".ONESHELL" in line:
            raise _UnknownError
        elif assignment := _ASSIGNMENT.fullmatch(line):
            self._assign(*assignment.groups())
            self._rule = None
        elif line not in {"", "else", "export"} and not line.startswith(".DEFAULT_GOAL "):
            self._target(line)

    def _target(self, line: str) -> None:
        rule = _RULE.fullmatch(line)
        if not rule:
            raise _UnknownError
        targets, needs = (self._expand(each, {}).split() for each in rule.group(1, 2))
        self._rule = _FILES
        if len(targets) == 1 and _PLAIN.fullmatch(targets[0]) and targets[0][0] != ".":
            self._rule = _FILES | {"@": targets[0]}
            if needs and _PLAIN.fullmatch(needs[0]) and ":" not in rule[2]:
                self._rule |= {"<": needs[0]}
        if rule[3]:
            self._recipes.append((rule[3], self._rule))

    def _assign(self, name: str, operator: str, value: str) -> None:
        known, before = name in self._variables, self._variables.get(name)
        if name in _CHANGES_READING or _SHELL_SIGN.search(value):
            raise _UnknownError
        if operator == "+=":
            value = f"{before} {value}".strip()
        elif ":" in operator:
            value = self._expand(value, {})
        unsure = before is None if known else operator == "+="
        again = known and operator != "+=" and before != _BUILT_IN.get(name)
        self._variables[name] = None if unsure or again or self._conditions else value
        self._found += variable_runs(name, value)

    def _expand(self, text: str, names: dict[str, str], depth: int = 0) -> str:
        def use(found: re.Match[str]) -> str:
            name = found[1] or found[2] or found[3] or ""
            if found[0] == "$$" or name in names:
                return names.get(name, "$")
            value = self._variables.get(name)
            self._uses += 1
            if value is None or depth > _DEPTH or self._uses > _USES or len(value) > _LENGTH:
                raise _UnknownError
            return self._expand(value, names, depth + 1)

        if re.search(r"\$[({]", _USE.sub("", text)):
            raise _UnknownError
        return _USE.sub(use, text)


_JUST_STEP = re.compile(r"[ \t]+(.*)")
_JUST_HEAD = re.compile(r"@?[\w-]+(?: +[\w-]+)* *:(?!=)[\w &-]*|\s*|#.*|\[private\]")


def justfile(text: str) -> list[Inner] | None:
    """What the recipes of a justfile run; None where it has settings, values or other languages."""
    found: list[Inner] = []
    for line in re.sub(r"\\\n\s*", "", text).split("\n"):
        if _JUST_HEAD.fullmatch(line):
            continue
        step = _JUST_STEP.fullmatch(line)
        if not step or "{{" in line or step[1].startswith("#!"):
            return None
        found.append(Shell(step[1].lstrip(_STEP_MARKS), "just"))
    return found
