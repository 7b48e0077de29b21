"""What to look for in a log: terms such as `verdict=deny rule=guards.* since=2h port>=1024`.

A term is FIELD OPERATOR VALUE without spaces around the operator: one of = != >= <= > <. A record
matches when every term does; a field that a record lacks matches nothing. Text may hold `*` and
`?`; numbers may end in kB, MB or GB; a time is a date, a moment (RFC 3339), or how long ago: 30s,
15m, 2h, 7d.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from firewall.frozen import frozen

type Kind = Literal["text", "number", "time", "severity"]

SEVERITIES = ("info", "warning", "critical")
_TERM = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_AGO = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(|kB|MB|GB)")
_SIZES = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PARTS = ("request", "verdict", "actor", "flow", "gpu", "trigger", "torn", "versions")


@frozen
class Field:
    """A short name for what stands at a path of a record, and the index's column of it, if any."""

    path: str
    kind: Kind = "text"
    column: str = ""


FIELDS: Mapping[str, Field] = {
    "chain": Field("chain", column="chain"),
    "seq": Field("seq", "number", "seq"),
    "time": Field("time", "time", "time"),
    "kind": Field("kind", column="kind"),
    "verdict": Field("verdict.action", column="verdict"),
    "rule": Field("verdict.rule", column="rule"),
    "severity": Field("verdict.severity", "severity", "severity"),
    "reason": Field("verdict.reason", column="reason"),
    "request": Field("request.type", column="request"),
    "host": Field("request.host", column="host"),
    "port": Field("request.port", "number", "port"),
    "protocol": Field("request.protocol", column="protocol"),
    "method": Field("request.method"),
    "path": Field("request.path"),
    "sandbox": Field("actor.sandbox", column="sandbox"),
    "program": Field("actor.process.exe", column="program"),
    "pid": Field("actor.process.pid", "number", "pid"),
    "tool": Field("actor.tool_call", column="tool"),
}
_LONG = {"actor.program": FIELDS["program"], **{each.path: each for each in FIELDS.values()}}
_BOUNDS = {"since": ">=", "until": "<="}


@frozen
class Condition:
    """One term, understood. `value` is text, a number, a moment as in records, or a severity."""

    field: Field
    operator: str
    value: str | float

    def sql(self) -> tuple[str, list[str | float]] | None:
        """The same for the index; None where it has no column for the field."""
        column = self.field.column
        if not column:
            return None
        if self.field.kind == "severity":
            names = [each for each in SEVERITIES if self._compares(each)]
            return f"{column} IN ({', '.join('?' * len(names))})", [*names]
        if self._is_pattern():
            negated = "NOT " if self.operator == "!=" else ""
            return f"{column} {negated}GLOB ?", [str(self.value).replace("[", "[[]")]
        return f"{column} {self.operator} ?", [self.value]

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether a record matches; in a list, one member that does is enough (with !=, all)."""
        values = [each for each in _reached(record, self.field.path.split(".")) if each is not None]
        if self.operator == "!=":
            return bool(values) and all(self._compares(each) for each in values)
        return any(self._compares(each) for each in values)

    def _is_pattern(self) -> bool:
        return self.field.kind == "text" and bool({"*", "?"} & set(str(self.value)))

    def _compares(self, found: Any) -> bool:
        compare, value = _COMPARE[self.operator], self.value
        if self.field.kind == "number":
            is_number = isinstance(found, int | float) and not isinstance(found, bool)
            return is_number and bool(compare(found, value))
        found = str(found)
        if self.field.kind == "severity":
            known = found in SEVERITIES
            return known and bool(compare(SEVERITIES.index(found), SEVERITIES.index(str(value))))
        if self._is_pattern():
            pattern = re.escape(str(value)).replace(r"\*", ".*").replace(r"\?", ".")
            return (re.fullmatch(pattern, found, re.DOTALL) is None) == (self.operator == "!=")
        return bool(compare(found, value))


_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": lambda found, value: found == value,
    "!=": lambda found, value: found != value,
    ">=": lambda found, value: found >= value,
    "<=": lambda found, value: found <= value,
    ">": lambda found, value: found > value,
    "<": lambda found, value: found < value,
}


def parse(terms: list[str], now: datetime | None = None) -> list[Condition]:
    """Understand terms. Raises ValueError that says which is wrong, why, and what to write."""
    moment = now or datetime.now(UTC)
    return [_condition(term, moment) for term in terms]


def _condition(term: str, now: datetime) -> Condition:
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError(f"{term!r} is no term; write for example verdict=deny or port>=1024")
    name, operator, value = found.groups()
    if not value:
        raise ValueError(f"{term!r} has no value; write for example {name}{operator}x")
    if name in _BOUNDS:
        if operator != "=":
            raise ValueError(f"{term!r}: write {name}=2h, or time{operator}2h")
        return Condition(FIELDS["time"], _BOUNDS[name], _time(term, value, now))
    field = _field(term, name, value)
    return Condition(field, operator, _value(term, field, operator, value, now))


def _field(term: str, name: str, value: str) -> Field:
    if (known := FIELDS.get(name) or _LONG.get(name)) is not None:
        return known
    if "." in name and name.split(".", maxsplit=1)[0] in _PARTS:
        return Field(name, "number" if _NUMBER.fullmatch(value) else "text")
    near = difflib.get_close_matches(name, [*FIELDS, *_BOUNDS], n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join([*FIELDS, *_BOUNDS])}"
    parts = ", ".join(f"{part}.*" for part in _PARTS[:5])
    raise ValueError(f"{term!r}: no field is called {name}; {hint} (or a path below {parts})")


def _value(term: str, field: Field, operator: str, value: str, now: datetime) -> str | float:
    if field.kind == "number":
        found = _NUMBER.fullmatch(value)
        if found is None:
            raise ValueError(f"{term!r}: {field.path} is a number; write for example 443 or 2MB")
        return float(found[1]) * _SIZES[found[2]]
    if field.kind == "time":
        return _time(term, value, now)
    if field.kind == "severity" and value not in SEVERITIES:
        raise ValueError(f"{term!r}: a severity is one of {', '.join(SEVERITIES)}")
    if field.path == "verdict.action" and value not in ("allow", "deny"):
        raise ValueError(f"{term!r}: a verdict is allow or deny")
    if field.kind == "text" and operator not in ("=", "!="):
        raise ValueError(f"{term!r}: {field.path} is text, which is compared with = or !=")
    return value


def _time(term: str, value: str, now: datetime) -> str:
    if (ago := _AGO.fullmatch(value)) is not None:
        try:
            moment = now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        except OverflowError:
            raise ValueError(f"{term!r}: that is too long ago") from None
    else:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"{term!r}: {value} is no time; write how long ago (30s, 15m, 2h, 7d), a date"
                " (2026-01-31) or a moment (2026-01-31T12:00:00Z)"
            ) from None
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _reached(value: Any, path: list[str]) -> Iterator[Any]:
    """What stands at a path, in every member of the lists on the way."""
    if isinstance(value, list):
        for each in value:
            yield from _reached(each, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _reached(value[path[0]], path[1:])
    elif path == ["host"] and isinstance(value, Mapping) and "name" in value:
        yield value["name"]
