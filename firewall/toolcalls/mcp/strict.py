"""JSON that every parser reads alike: what two readers could understand differently is refused."""

import json
import math
import re
from typing import Any

SPELLED = frozenset({"jsonrpc", "id", "method", "params", "name", "arguments", "result", "error"})
"""Keys that some parsers (Go's encoding/json) match whatever their case."""

_METHOD = re.compile(r"[A-Za-z0-9_$./-]{1,256}")


class UnreadableError(ValueError):
    """The message cannot be judged; the text says why."""


def read(raw: bytes) -> Any:
    """The one value in `raw`. Raises UnreadableError."""
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_object, parse_float=_float, parse_constant=_constant
        )
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"no JSON: {error}") from None
    for message in value if isinstance(value, list) else [value]:
        _check(message)
    return value


def _check(message: Any) -> None:
    if not isinstance(message, dict):
        raise UnreadableError("a message is a JSON object")
    if "method" in message and not _is_method(message["method"]):
        raise UnreadableError("the method is not a plain name")
    if type(message.get("id")) not in (str, int, float, type(None)):
        raise UnreadableError("an id is text or a number")
    for part in (message, message.get("params")):
        for key in part if isinstance(part, dict) else ():
            if key not in SPELLED and key.casefold() in SPELLED:
                raise UnreadableError(f"the key {key!r} looks like {key.casefold()!r}")
    _check_arguments(message.get("params"))


def _check_arguments(params: Any) -> None:
    """Go's parser takes the last of the arguments that differ by case alone for all of them."""
    arguments = params.get("arguments") if isinstance(params, dict) else None
    if not isinstance(arguments, dict):
        return
    if len({name.casefold() for name in arguments}) < len(arguments):
        raise UnreadableError("the names of two arguments differ by case alone")


def _is_method(value: Any) -> bool:
    return isinstance(value, str) and _METHOD.fullmatch(value) is not None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise UnreadableError("a key stands twice in one object")
    return value


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise UnreadableError(f"{text[:40]} is too large a number")
    return value


def _constant(name: str) -> Any:
    raise UnreadableError(f"{name} is no JSON")
