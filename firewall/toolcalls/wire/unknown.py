"""Which API an answer is of, and what may hide calls where it is of none that is known."""

import json
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from firewall.toolcalls.wire import anthropic, chat, gemini, responses
from firewall.toolcalls.wire.judging import Document

_DIALECTS: tuple[ModuleType, ...] = (anthropic, responses, chat, gemini)
_MEMBERS = {"toolcalls", "functioncall", "tooluse"}
"""Where other APIs hold calls: Ollama, Cohere, Bedrock's Converse, OpenAI's Assistants."""
_KINDS = {"toolcall", "functioncall", "tooluse"} | {
    each.replace("_", "") for each in responses.EXECUTED
}
"""What other APIs call their items of calls, such as Gemini's Interactions."""
_LIKE_JSON = re.compile(r'[ \t]*[\[{][ \t]*(?:["\[{]|$)')


class UnreadableError(ValueError):
    """The answer cannot be read, so that its calls cannot be judged."""


def dialect_of(document: Document) -> ModuleType | None:
    """The reader of the API whose answer this is, if it is known.

    Raises UnreadableError for one that may be taken for an answer of two.
    """
    found = [each for each in _DIALECTS if each.recognises(document)]
    if len(found) > 1:
        names = " and ".join(each.AGENT for each in found)
        raise UnreadableError(f"one document of the answer is of {names} alike")
    return found[0] if found else None


def refuse_calls(document: Any) -> None:
    """Raise UnreadableError where an answer of an API that is not known seems to hold calls."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if found := _call_in(value):
                raise UnreadableError(f"{found} in the answer of an API that is not known")
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def refuse_lines(lines: Iterable[str]) -> None:
    """Raise UnreadableError for JSON that stands in no event: Google's client reads it all the
    same, and others read an answer line by line (NDJSON)."""
    if any(map(_LIKE_JSON.match, lines)):
        raise UnreadableError("JSON in the answer that stands in no event, or cannot be read")


def parsed(text: str | bytes) -> Any:
    """What JSON says. Bytes that are no UTF-8 are read as browsers and Node read them (WHATWG
    Encoding, 4.1). Raises ValueError, or RecursionError."""
    try:
        return json.loads(text)
    except UnicodeDecodeError:
        assert isinstance(text, bytes)
        return json.loads(text.decode("utf-8", "replace"))


def _call_in(value: Document) -> str:
    """What of an object is a call, or holds calls; "" for none."""
    kind = value.get("type")
    if isinstance(kind, str) and _plain(kind) in _KINDS:
        return kind
    held = (name for name, each in value.items() if each and isinstance(each, dict | list))
    return next((name for name in held if _plain(name) in _MEMBERS), "")


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
