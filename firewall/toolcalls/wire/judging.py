"""How the readers of single APIs ask about a call, and what they share."""

import json
from collections.abc import Generator, Mapping
from typing import Any

from firewall.toolcalls.calls import UNREADABLE, Call
from firewall.toolcalls.parsing import parse

type Document = dict[str, Any]
type Judging[T] = Generator[Call, str | None, T]
"""Yields calls; is sent None for each that may pass, or the text that takes its place."""


def settle(*calls: Call) -> Judging[str | None]:
    """The refusal of the first call that may not pass; all of them are asked about."""
    refusal = None
    for call in calls:
        answer = yield call
        refusal = answer if refusal is None else refusal
    return refusal


def arguments(value: Any) -> Mapping[str, Any]:
    """The arguments of a call: an object, or the JSON text of one."""
    if isinstance(value, str):
        try:
            value = parse(value or "{}", strict=False)
        except ValueError:
            return {UNREADABLE: value}
    return value if isinstance(value, dict) else {UNREADABLE: value}


def mapping(value: Any) -> Document:
    """A member that should be an object; what is not one counts as empty."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """A member that should be a list."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """A member that should be a string."""
    return value if isinstance(value, str) else ""


def compact(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
