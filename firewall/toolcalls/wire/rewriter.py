"""An answer's bytes on their way to the agent, with its tool calls taken out to be judged."""

import json
from collections.abc import Generator
from types import ModuleType
from typing import Any, Protocol

from firewall.toolcalls.calls import Call
from firewall.toolcalls.wire import anthropic, chat, gemini, responses
from firewall.toolcalls.wire.judging import Document, Judging, compact
from firewall.toolcalls.wire.sse import Event, Events, parse

HELD_LIMIT = 16 << 20
"""Bytes of one answer that may be held back: a call's events, or a whole document."""

type Steps = Generator[bytes | Call, str | None, None]
"""Yields bytes that may go on, and calls; a call is answered with None or its refusal."""

_DIALECTS: tuple[ModuleType, ...] = (anthropic, responses, chat, gemini)
_CALLS = ("tool_calls", "toolCalls", "function_call", "functionCall", "tool_use", "toolUse")
"""Where other APIs hold calls: Ollama, Cohere, Bedrock's Converse, OpenAI's Assistants."""
_BROKEN = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)
"""What an answer of an unexpected shape raises in the reader of its API."""


class UnreadableError(ValueError):
    """The answer cannot be read, so that its calls cannot be judged."""


class Rewriter(Protocol):
    """Rewrites one answer. Both raise UnreadableError for what may hide a call."""

    def feed(self, data: bytes) -> Steps: ...

    def finish(self) -> Steps:
        """The answer is complete."""


class _Stream(Protocol):
    def event(self, event: Event, document: Document) -> Judging[list[bytes]]: ...


def rewriter_for(content_type: str) -> Rewriter:
    """The rewriter of an answer, by its Content-Type.

    Raises UnreadableError for a type that may hold calls in a form that is not known.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return EventStream()
    if kind in ("", "application/json", "text/plain") or kind.endswith("+json"):
        return Whole()
    if kind.partition("/")[0] in ("image", "audio", "video") or kind == "text/html":
        return Untouched()
    raise UnreadableError(f"tool calls cannot be read in an answer of type {kind!r}")


class EventStream:
    """An answer as server-sent events."""

    def __init__(self) -> None:
        self._events = Events()
        self._stream: _Stream | None = None
        self._held = 0

    def feed(self, data: bytes) -> Steps:
        self._held += len(data)
        for event in self._events.feed(data):
            passed = yield from self._pass(event)
            if passed:
                self._held = self._events.size
                yield b"".join(passed)
        if self._held > HELD_LIMIT:
            raise UnreadableError(f"more than {HELD_LIMIT} bytes belong to one tool call")

    def rest(self) -> bytes:
        """What has no blank line behind it."""
        return self._events.rest()

    def finish(self) -> Steps:
        """What is held has no end; it is dropped, as clients drop an event without one."""
        yield from ()

    def _pass(self, event: Event) -> Judging[list[bytes]]:
        document = _document(event.data)
        if self._stream is None and document:
            found = _dialect(document)
            self._stream = found.Stream() if found else None
        if self._stream is None or event.data is None:
            _refuse_calls(document)
            return [event.raw]
        try:
            return (yield from self._stream.event(event, document))
        except _BROKEN as error:
            raise UnreadableError(f"an event of the answer cannot be read: {error!r}") from error


class Whole:
    """An answer that is one JSON document, or a list of them."""

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, data: bytes) -> Steps:
        self._body += data
        if len(self._body) > HELD_LIMIT:
            raise UnreadableError(f"the answer has more than {HELD_LIMIT} bytes")
        yield from ()

    def finish(self) -> Steps:
        body = bytes(self._body)
        try:
            document = json.loads(body) if body else None
        except (ValueError, RecursionError):
            # No client that takes it for JSON can read a call in it; one that asked for a stream
            # may read it as one, whatever its type says.
            yield from _as_events(body)
            return
        try:
            changed = yield from self._judge(document)
        except _BROKEN as error:
            raise UnreadableError(f"the answer cannot be read: {error!r}") from error
        yield compact(document).encode() if changed else body

    def _judge(self, document: Any) -> Judging[bool]:
        changed = False
        for each in document if isinstance(document, list) else [document]:
            found = _dialect(each) if isinstance(each, dict) else None
            if found is not None:
                changed |= yield from found.whole(each)
            else:
                _refuse_calls(each)
        return changed


def _as_events(body: bytes) -> Steps:
    stream = EventStream()
    yield from stream.feed(body)
    if parse(stream.rest()).data is None:
        yield stream.rest()


class Untouched:
    """An answer that can hold no call: an image, sound."""

    def feed(self, data: bytes) -> Steps:
        yield data

    def finish(self) -> Steps:
        yield from ()


def _document(data: str | None) -> Document:
    """The JSON object of an event; {} where it holds none (OpenAI ends with "[DONE]")."""
    if not data or not data.lstrip().startswith("{"):
        return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"an event of the answer is no JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _refuse_calls(document: Any) -> None:
    """Raise where an answer of an API that is not known here seems to hold tool calls."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if found := [name for name in _CALLS if value.get(name) and _is_nested(value[name])]:
                raise UnreadableError(f"{found[0]} in the answer of an API that is not known")
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _dialect(document: Document) -> Any:
    return next((each for each in _DIALECTS if each.recognises(document)), None)
