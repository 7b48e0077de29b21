"""An answer's bytes on their way to the agent, with its tool calls taken out to be judged."""

from collections.abc import Generator
from types import ModuleType
from typing import Any, Protocol

from firewall.toolcalls.calls import Call
from firewall.toolcalls.wire import chat
from firewall.toolcalls.wire.judging import Document, Judging, compact
from firewall.toolcalls.wire.sse import Event, Events, parse
from firewall.toolcalls.wire.unknown import (
    UnreadableError,
    dialect_of,
    parsed,
    refuse_calls,
    refuse_lines,
)

HELD_LIMIT = 16 << 20
"""Bytes of one answer that may be held back: a call's events, or a whole document."""

type Steps = Generator[bytes | Call, str | None, None]
"""Yields bytes that may go on, and calls; a call is answered with None or its refusal."""

_BROKEN = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)
"""What an answer of an unexpected shape raises in the reader of its API."""


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
    if kind in ("", "application/json", "text/plain", "text/html") or kind.endswith("+json"):
        return Whole()
    if kind.partition("/")[0] in ("image", "audio", "video"):
        return Media()
    raise UnreadableError(f"tool calls cannot be read in an answer of type {kind!r}")


class EventStream:
    """An answer as server-sent events."""

    def __init__(self) -> None:
        self._events = Events()
        self._api: ModuleType | None = None
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
        refuse_lines(event.others)
        document = self._document(event)
        if self._stream is None or event.data is None:
            return [event.raw]
        try:
            return (yield from self._stream.event(event, document))
        except _BROKEN as error:
            raise UnreadableError(f"an event of the answer cannot be read: {error!r}") from error

    def _document(self, event: Event) -> Document:
        """The document of an event, of the API that the first one of any was of."""
        document = _document(event.data)
        found = dialect_of(document)
        if found is None:
            refuse_calls(document)
        elif self._api is None:
            self._api, self._stream = found, found.Stream()
        elif found is not self._api:
            raise UnreadableError(f"an event of {found.AGENT} in an answer of {self._api.AGENT}")
        return document


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
            document = parsed(body) if body else None
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
            found = dialect_of(each) if isinstance(each, dict) else None
            if found is not None:
                changed |= yield from found.whole(each)
            else:
                refuse_calls(each)
        return changed


def _as_events(body: bytes) -> Steps:
    stream = EventStream()
    yield from stream.feed(body)
    rest = parse(stream.rest())
    refuse_lines(rest.others)
    if rest.data is None:
        yield rest.raw


class Media:
    """Sound and images hold no call, and pass as they come; so that no client which takes them for
    events finds one, events are looked for all the same."""

    def __init__(self) -> None:
        self._events = Events()

    def feed(self, data: bytes) -> Steps:
        for event in self._events.feed(data):
            document = _document(event.data)
            if dialect_of(document) is not None:
                raise UnreadableError("events in an answer of sound or images")
            refuse_calls(document)
        if self._events.size > HELD_LIMIT:
            raise UnreadableError(f"the answer has more than {HELD_LIMIT} bytes without a line")
        yield data

    def finish(self) -> Steps:
        yield from ()


def _document(data: str | None) -> Document:
    """The JSON object of an event; {} where it holds none (OpenAI ends with "[DONE]")."""
    if not data or data == chat.DONE or not data.lstrip().startswith(("{", "[")):
        return {}
    try:
        found = parsed(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"an event of the answer is no JSON: {error}") from error
    if not isinstance(found, dict):
        refuse_calls(found)
        return {}
    return found
