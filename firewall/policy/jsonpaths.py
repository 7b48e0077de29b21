"""Conditions on a tool's arguments: where in the JSON, and what must stand there.

Paths are the part of RFC 9535 that names places: `$.a.b`, `$["odd key"]`, `$.a[0]`, `$.a[*].b`.
Regular expressions are RE2's (github.com/google/re2/wiki/Syntax): they cost time linear in the
text, whatever an agent writes.
"""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from firewall.policy.errors import Fault
from firewall.policy.globs import Glob, checked
from firewall.policy.strict import Strict

type Step = str | int | None
"""A key, a position, or None for every one."""

_STEP = re.compile(r"""\.([A-Za-z_][\w-]*)|\[(\d+)\]|\[\*\]|\["([^"\\]+)"\]|\['([^'\\]+)'\]""")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*")


class _Unreadable:
    """Arguments that are not JSON, or that two readers may understand differently."""


UNREADABLE = _Unreadable()


def steps(text: str) -> tuple[Step, ...]:
    """The steps of a path. Raises Fault."""
    found: list[Step] = []
    position = 1
    while text.startswith("$") and position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            break
        name, index = step[1] or step[3] or step[4], step[2]
        found.append(int(index) if index else name)
        position = step.end()
    if not found or position < len(text):
        raise Fault(
            f"{text!r} is not a path into the arguments", '"$.key", "$.list[0]", "$.a[*].b"'
        )
    return tuple(found)


def _path(text: str) -> str:
    steps(text)
    return text


def _regex(text: str) -> str:
    compile_regex(text)
    return text


def compile_regex(text: str) -> Any:
    """A compiled regular expression of RE2. Raises Fault."""
    import re2  # 25 ms, for policies that have regular expressions

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        why = error.args[0] if error.args else ""
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        what = f"{text!r} is no regular expression of RE2 ({why})"
        raise Fault(
            what, "one without look-around and backreferences, in 'single quotes'"
        ) from None


def _exact(value: Any) -> Any:
    if isinstance(value, list):
        raise Fault(f"a list says nothing about {value!r}", "one value, or {matches: '^(a|b)$'}")
    return value


class Condition(Strict):
    """What must stand at a place: a glob, a regular expression found anywhere in it, a number in a
    range (both ends included), or nothing at all."""

    glob: Annotated[str, AfterValidator(checked)] | None = None
    matches: Annotated[str, AfterValidator(_regex)] | None = None
    min: float | None = None
    max: float | None = None
    absent: Literal[True] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Condition":
        written = [self.glob, self.matches, self.absent]
        ranged = self.min is not None or self.max is not None
        kinds = sum(each is not None for each in written) + ranged
        if kinds != 1:
            raise Fault(
                "a condition says exactly one thing", "glob, matches, min and max, or absent"
            )
        return self


def _form(value: Any) -> str:
    return "condition" if isinstance(value, dict | Condition) else "exact"


PathText = Annotated[str, AfterValidator(_path)]
Wanted = Annotated[
    Annotated[Condition, Tag("condition")]
    | Annotated[Annotated[Any, AfterValidator(_exact)], Tag("exact")],
    Discriminator(_form),
]
Where = Annotated[dict[PathText, Wanted], Field(min_length=1)]


class Place:
    """A compiled condition on one place of the arguments."""

    def __init__(self, path: str, wanted: Any) -> None:
        self._steps = steps(path)
        self._wanted = wanted
        condition = wanted if isinstance(wanted, Condition) else Condition(absent=True)
        self._absent = condition is wanted and bool(condition.absent)
        self._glob = Glob(condition.glob) if condition.glob else None
        self._regex = compile_regex(condition.matches) if condition.matches else None

    def holds(self, value: Any, *, certain: bool) -> bool:
        """Whether the condition holds in parsed arguments.

        `certain` is for allows: every value at the place must fit, and nothing is guessed. Without
        it one that may be understood to fit is enough: a number in a text, a text in a list.
        """
        try:
            return not certain if value is UNREADABLE else self._holds(value, certain)
        except RecursionError:
            return not certain

    def _holds(self, value: Any, certain: bool) -> bool:
        found = list(_find(value, self._steps))
        if self._absent or not found:
            return self._absent and not found
        if certain:
            return all(self._fits(each) for each in found)
        return any(self._may_fit(each) for each in found)

    def _fits(self, value: Any) -> bool:
        wanted = self._wanted
        if not isinstance(wanted, Condition):
            return _same(value, wanted)
        if not isinstance(value, str):
            return self._in_range(value)
        if self._glob is not None:
            return self._glob.matches(value)
        return self._regex is not None and _searched(self._regex, value)

    def _may_fit(self, value: Any) -> bool:
        if isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            return any(self._may_fit(each) for each in inner)
        return any(self._fits(each) for each in _readings(value))

    def _in_range(self, value: Any) -> bool:
        low, high = self._wanted.min, self._wanted.max
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (low is None and high is None):
            return False
        return (low is None or value >= low) and (high is None or value <= high)


def parse(text: str) -> Any:
    """The arguments of a call; UNREADABLE where they are no JSON, or say one thing twice."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return UNREADABLE


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _find(value: Any, path: tuple[Step, ...]) -> Iterator[Any]:
    if not path:
        yield value
        return
    step, rest = path[0], path[1:]
    for inner in _children(value, step):
        yield from _find(inner, rest)


def _children(value: Any, step: Step) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) if step is None else [value[step]] if step in value else []
    if isinstance(value, list) and not isinstance(step, str):
        return value if step is None else value[step : step + 1]
    return []


def _readings(value: Any) -> Iterator[Any]:
    """A value, and what a tool may make of it."""
    yield value
    if isinstance(value, str) and len(value) < 64 and _NUMBER.fullmatch(value):
        yield float(value)
    elif isinstance(value, str) and value in ("true", "false", "null"):
        yield json.loads(value)
    elif not isinstance(value, str):
        yield json.dumps(value)


def _same(value: Any, wanted: Any) -> bool:
    """Whether two values are one: true is no 1, but 1 is 1.0."""
    numbers = {type(value), type(wanted)} <= {int, float}
    return (numbers or type(value) is type(wanted)) and bool(value == wanted)


def _searched(regex: Any, text: str) -> bool:
    """A text that no UTF-8 can hold is searched without what it cannot hold."""
    return regex.search(text.encode("utf-8", "replace")) is not None
