"""Typed values as what JSON can hold.

`describe` turns the frozen dataclasses of a verdict into dictionaries on the hot path; `plain`
takes whatever else a caller may hand over, hostile or broken, and always returns something that
JSON can hold: a record must never be lost to the value it describes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

DEPTH = 32
"""Levels of nesting kept. Requests need four; a cyclic value would need endlessly many."""

ATOMS = frozenset({str, int, float, bool, type(None)})


def describe(value: Any) -> dict[str, Any]:
    """A dataclass as a JSON-ready dictionary: enums by value, tuples as lists, nested ones alike.

    Strings are taken as they are: making them fit for a record is the encoder's business. Raises
    TypeError where `value` is no dataclass instance.
    """
    return {
        name: member if type(member := getattr(value, name)) in ATOMS else _describe_member(member)
        for name in _names(value.__class__)
    }


@cache
def _names(kind: type) -> tuple[str, ...]:
    """The field names of a dataclass; `fields` itself costs more than the rest together."""
    return tuple(field.name for field in fields(kind))


def _describe_member(value: Any) -> Any:
    kind = type(value)
    if kind is tuple or kind is list:
        return [each if type(each) in ATOMS else _describe_member(each) for each in value]
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return describe(value)
    if isinstance(value, Mapping):
        return {str(key): _describe_member(each) for key, each in value.items()}
    return value if kind in ATOMS else plain(value)


def plain(value: Any, cut: Callable[[Any], Any] = lambda value: value, depth: int = DEPTH) -> Any:
    """Any value as one that JSON can hold. Never raises, whatever the value.

    `cut` is applied to every string, list and dictionary on the way, before what is in it is looked
    at: to shorten what is too long.
    """
    if value is None or isinstance(value, bool):
        return value
    if depth == 0:
        return "[nested too deep]"
    value = _open(value)
    if isinstance(value, Mapping):
        members = cut(value).items()
        return {cut(text(key)): plain(each, cut, depth - 1) for key, each in members}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(each, cut, depth - 1) for each in cut(list(value))]
    return _number(value) if isinstance(value, int | float) else cut(text(value))


def _open(value: Any) -> Any:
    """What an enum or a dataclass holds; other values as they are."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: getattr(value, name) for name in _names(value.__class__)}
    return value


def _number(value: float) -> float | str:
    """Numbers that any JSON reader takes (RFC 8259 section 6); others as text."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(value)
    return int(value) if value.bit_length() <= 64 else hex(value)


def text(value: Any) -> str:
    """Any value as text that UTF-8 can hold: undecodable bytes stand as `\\x80`."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    if not isinstance(value, str):
        try:
            value = str(value)
        except Exception:  # a value's own __str__ may raise anything; the record matters more
            return f"[unprintable {type(value).__name__}]"
    try:
        data: bytes = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = value.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")
