"""What a process that hangs off the gate reports to it, without its bulk."""

from collections.abc import Mapping
from typing import Any

TEXT_LIMIT = 500
ITEMS_LIMIT = 8
"""Of every text and list in a report: the record has them whole."""


def shortened(value: Any) -> Any:
    """An event without its bulk: an agent chooses how long a path is."""
    match value:
        case str():
            return value[:TEXT_LIMIT]
        case Mapping():
            return {key: shortened(each) for key, each in value.items()}
        case list() | tuple():
            return [shortened(each) for each in value[:ITEMS_LIMIT]]
        case _:
            return value
