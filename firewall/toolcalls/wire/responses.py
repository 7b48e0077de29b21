"""OpenAI's Responses API: the output items that a client executes, whole or streamed.

Source: the API reference, "Responses" and "Streaming events" (response.output_item.added and .done,
response.completed...; every event has a sequence_number). What runs at the API (web_search_call,
mcp_call, code_interpreter_call...) has run already and passes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

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

AGENT = "openai-responses"
EXECUTED = frozenset({
    "function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call",
    "computer_call", "mcp_approval_request",
})  # fmt: skip
"""Items that ask the client to do something."""
ADDED, DONE = "response.output_item.added", "response.output_item.done"


def recognises(document: Document) -> bool:
    kind = text(document.get("type"))
    return document.get("object") == "response" or kind.startswith("response.")


def whole(response: Document) -> Judging[bool]:
    """Replace what may not pass; whether anything was replaced."""
    return (yield from _replace(response, {}))


def _replace(response: Document, known: dict[str, str | None]) -> Judging[bool]:
    """`known` holds what was answered about items before, by their key."""
    output = items(response.get("output"))
    changed = False
    for place, item in enumerate(map(mapping, output)):
        if item.get("type") in EXECUTED:
            key = _key(item)
            if key not in known:
                known[key] = yield from settle(*_calls(item))
            refusal = known[key]
            if refusal is not None:
                output[place] = _message(item, refusal)
                changed = True
    return changed


class Stream:
    """One streamed response. From an executed item's beginning to its end all events are held."""

    def __init__(self) -> None:
        self._held: list[tuple[Event, Document]] = []
        self._open: set[Any] = set()
        self._answers: dict[str, str | None] = {}
        self._refused: dict[Any, Document] = {}
        self._shift = 0

    def event(self, event: Event, document: Document) -> Judging[list[bytes]]:
        kind, place = document.get("type"), document.get("output_index")
        item = mapping(document.get("item"))
        if item.get("type") in EXECUTED and kind in (ADDED, DONE):
            self._open.add(place)
            if kind == DONE:
                yield from self._judge(place, item)
        if isinstance(document.get("response"), dict):
            changed = yield from _replace(document["response"], self._answers)
            return [*self._release(), self._write(event, document, changed=changed)]
        self._held.append((event, document))
        return [] if self._open else self._release()

    def _judge(self, place: Any, item: Document) -> Judging[None]:
        refusal = self._answers[_key(item)] = yield from settle(*_calls(item))
        self._open.discard(place)
        if refusal is not None:
            self._refused[place] = _message(item, refusal)

    def _release(self) -> list[bytes]:
        """Give out what was held; of items that never ended, nothing."""
        held, self._held = self._held, []
        unfinished, self._open = self._open, set()
        released: list[bytes] = []
        for event, document in held:
            place = document.get("output_index")
            if place in self._refused:
                released += self._instead(event, document, self._refused[place])
            elif place is None or place not in unfinished:
                released.append(self._write(event, document))
        return released

    def _instead(self, event: Event, document: Document, message: Document) -> Iterator[bytes]:
        """A message's events where the item's last one was; its others are left out."""
        if document.get("type") != DONE:
            self._shift -= 1
            return
        number = document.get("sequence_number")
        told = list(_told(message, document.get("output_index")))
        for each in told:
            if isinstance(number, int):
                each["sequence_number"] = number + self._shift
            self._shift += 1
            yield write(each, each["type"] if event.name else "")
        self._shift -= 1

    def _write(self, event: Event, document: Document, *, changed: bool = False) -> bytes:
        number = document.get("sequence_number")
        if self._shift and isinstance(number, int):
            document = {**document, "sequence_number": number + self._shift}
            changed = True
        return write(document, event.name) if changed else event.raw


def _key(item: Document) -> str:
    """What tells an item: it may be told again whole when the response ends."""
    return f"{item.get('type')} {item.get('call_id') or item.get('id')} {item.get('arguments')}"


def _calls(item: Document) -> list[Call]:
    server = text(item.get("server_label"))
    return [
        Call(tool, given, text(item.get("call_id") or item.get("id")), AGENT, server)
        for tool, given in _asked(item)
    ]


def _asked(item: Document) -> list[tuple[str, Mapping[str, Any]]]:
    """The tools that an item asks for, with their arguments."""
    name, action = text(item.get("name")), mapping(item.get("action"))
    match item.get("type"):
        case "function_call" | "mcp_approval_request":
            return [(name, arguments(item.get("arguments")))]
        case "custom_tool_call":
            return [(name, {"input": item.get("input")})]
        case "local_shell_call":
            return [("local_shell", action)]
        case "shell_call":
            commands = items(action.get("commands")) or [None]
            return [("shell", {**action, "command": each}) for each in commands]
        case "apply_patch_call":
            return [("apply_patch", mapping(item.get("operation")))]
    return [("computer", {"action": item.get("action"), "actions": item.get("actions")})]


def _message(item: Document, refusal: str) -> Document:
    part = {"type": "output_text", "text": refusal, "annotations": []}
    return {
        "id": f"msg_{text(item.get('id')) or 'firewall'}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def _told(message: Document, place: Any) -> Iterator[Document]:
    """The events of a message that is said in one piece."""
    (part,) = message["content"]
    at = {"item_id": message["id"], "output_index": place, "content_index": 0}
    said = {"text": part["text"], "logprobs": []}
    opening = {**message, "status": "in_progress", "content": []}
    yield {"type": ADDED, "output_index": place, "item": opening}
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
    delta = {"delta": part["text"], "logprobs": []}
    yield {"type": "response.output_text.delta", **at, **delta}
    yield {"type": "response.output_text.done", **at, **said}
    yield {"type": "response.content_part.done", **at, "part": part}
    yield {"type": DONE, "output_index": place, "item": message}
