"""Reads JSON that agents send: one meaning, or none."""

import json
from typing import Any


def parse(text: str | bytes, *, strict: bool = True) -> Any:
    """What the JSON says. Raises ValueError, also where it is nested too deep or where a name
    stands twice in one object: parsers differ on which of the two counts. Not `strict`: texts may
    hold bare newlines, as models write them."""
    try:
        return json.loads(text, object_pairs_hook=_once, strict=strict)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
