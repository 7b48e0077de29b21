"""Anthropic's Messages API: `tool_use` blocks in a message, whole or streamed.

Source: the API reference, "Messages" and "Streaming messages" (events message_start,
content_block_start, content_block_delta with input_json_delta, content_block_stop, message_delta).
`server_tool_use` and `mcp_tool_use` have run at the API already and pass.
"""

from dataclasses import dataclass, field

from firewall.toolcalls.calls import Call
from firewall.toolcalls.wire.judging import (
    Document,
    Judging,
    arguments,
    items,
    mapping,
    settle,
    text,
)
from firewall.toolcalls.wire.sse import Event, write

AGENT = "anthropic-messages"
_EVENTS = (
    "message_start", "content_block_start", "content_block_delta", "content_block_stop",
    "message_delta", "message_stop",
)  # fmt: skip


def recognises(document: Document) -> bool:
    return document.get("type") in ("message", *_EVENTS)


def whole(message: Document) -> Judging[bool]:
    """Replace what may not pass; whether anything was replaced."""
    content = items(message.get("content"))
    calls = [each for each in range(len(content)) if _is_call(content[each])]
    refused = 0
    for place in calls:
        refusal = yield from settle(_call(content[place], content[place].get("input")))
        if refusal is not None:
            content[place] = {"type": "text", "text": refusal}
            refused += 1
    if refused and refused == len(calls) and message.get("stop_reason") == "tool_use":
        message["stop_reason"] = "end_turn"
    return refused > 0


@dataclass(slots=True)
class _Block:
    """A tool_use block that is not complete: its opening, and the events held back."""

    index: int
    opening: Document
    held: list[bytes]
    parts: list[str] = field(default_factory=list)


class Stream:
    """One streamed message. A call's events are held until it is judged; pings pass."""

    def __init__(self) -> None:
        self._block: _Block | None = None
        self._passed = 0
        self._refused = 0

    def event(self, event: Event, document: Document) -> Judging[list[bytes]]:
        kind = document.get("type")
        if kind == "ping":
            return [event.raw]
        if self._block is not None:
            return (yield from self._continue(self._block, event, document))
        if kind == "message_start":
            changed = yield from whole(mapping(document.get("message")))
            return [write(document, event.name) if changed else event.raw]
        opening = mapping(document.get("content_block"))
        if kind == "content_block_start" and _is_call(opening):
            self._block = _Block(document.get("index", 0), opening, [event.raw])
            return []
        if kind == "message_delta":
            return [self._ending(event, document)]
        return [event.raw]

    def _continue(self, block: _Block, event: Event, document: Document) -> Judging[list[bytes]]:
        kind = document.get("type")
        if text(kind).startswith("content_block_") and document.get("index", 0) != block.index:
            raise ValueError("the blocks of a message are told in turns")
        if kind == "content_block_delta":
            block.held.append(event.raw)
            block.parts.append(text(mapping(document.get("delta")).get("partial_json")))
            return []
        self._block = None
        if kind == "content_block_stop":
            block.held.append(event.raw)
            return (yield from self._settle(block))
        judged = yield from self._settle(block)
        return judged + (yield from self.event(event, document))

    def _settle(self, block: _Block) -> Judging[list[bytes]]:
        given = "".join(block.parts) or block.opening.get("input")
        refusal = yield from settle(_call(block.opening, given))
        if refusal is None:
            self._passed += 1
            return block.held
        self._refused += 1
        return _text_block(block.index, refusal)

    def _ending(self, event: Event, document: Document) -> bytes:
        """Nothing is left to run where every call was refused."""
        delta = mapping(document.get("delta"))
        if delta.get("stop_reason") != "tool_use" or self._passed or not self._refused:
            return event.raw
        return write({**document, "delta": {**delta, "stop_reason": "end_turn"}}, event.name)


def _is_call(block: object) -> bool:
    return mapping(block).get("type") == "tool_use"


def _call(block: Document, given: object) -> Call:
    return Call(text(block.get("name")), arguments(given), text(block.get("id")), AGENT)


def _text_block(index: int, refusal: str) -> list[bytes]:
    events: list[Document] = [
        {
            "type": "content_block_start",
            "index": index,
            "content_block": {"type": "text", "text": ""},
        },
        {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": "text_delta", "text": refusal},
        },
        {"type": "content_block_stop", "index": index},
    ]
    return [write(each, each["type"]) for each in events]
