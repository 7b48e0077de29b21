"""OpenAI's Chat Completions API, and the many servers that speak it: `tool_calls` of a choice.

Source: the API reference, "Chat completions" and "Streaming" (chat.completion.chunk, whose
delta.tool_calls come in pieces told apart by `index`; `function_call` is the form before 2023-11).
"""

from dataclasses import dataclass, field
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

AGENT = "openai-chat"
LEGACY = "function_call"
DONE = "[DONE]"
_ENDINGS = ("tool_calls", LEGACY)


def recognises(document: Document) -> bool:
    return isinstance(document.get("choices"), list)


def whole(completion: Document) -> Judging[bool]:
    """Replace what may not pass; whether anything was replaced."""
    changed = False
    for choice in map(mapping, items(completion.get("choices"))):
        changed |= yield from _whole_choice(choice)
    return changed


def _whole_choice(choice: Document) -> Judging[bool]:
    message = mapping(choice.get("message"))
    kept, refusals = [], []
    for call in items(message.get("tool_calls")):
        refusal = yield from settle(_call(mapping(call)))
        if refusal is None:
            kept.append(call)
        else:
            refusals.append(refusal)
    legacy = message.get(LEGACY)
    if legacy:
        refusal = yield from settle(_call({"function": legacy}))
        if refusal is not None:
            refusals.append(refusal)
            legacy = None
    if not refusals:
        return False
    _replace(message, kept, legacy, refusals)
    if not kept and not legacy and choice.get("finish_reason") in _ENDINGS:
        choice["finish_reason"] = "stop"
    return True


def _replace(message: Document, kept: list[Any], legacy: Any, refusals: list[str]) -> None:
    for name, left in (("tool_calls", kept), (LEGACY, legacy)):
        if left:
            message[name] = left
        else:
            message.pop(name, None)
    said = [text(message.get("content"))] if message.get("content") else []
    message["content"] = "\n\n".join((*said, *refusals))


@dataclass(slots=True)
class _Growing:
    """A call that arrives in pieces. `place` is its new number, None where it is refused."""

    names: list[str] = field(default_factory=list)
    call_id: str = ""
    custom: bool = False
    parts: list[str] = field(default_factory=list)
    judged: bool = False
    place: int | None = None

    def whole(self) -> Call:
        """A name may come in pieces; some servers tell the whole of it in each of them."""
        names = self.names[:1] if len(set(self.names)) == 1 else self.names
        given = "".join(self.parts)
        return _made("".join(names), self.call_id, given, custom=self.custom)


type _Key = tuple[int, int | str]


class Stream:
    """One streamed completion. From a choice's first call to its end all chunks are held."""

    def __init__(self) -> None:
        self._held: list[tuple[Event, Document]] = []
        self._calls: dict[_Key, _Growing] = {}
        self._waiting: set[int] = set()
        self._places: dict[tuple[int, int], int] = {}

    def event(self, event: Event, document: Document) -> Judging[list[bytes]]:
        for choice in map(mapping, items(document.get("choices"))):
            self._gather(choice)
        if self._waiting:
            self._held.append((event, document))
        for choice in map(mapping, items(document.get("choices"))):
            if choice.get("finish_reason"):
                self._waiting.discard(choice.get("index", 0))
        if event.data == DONE or not self._waiting:
            settled = yield from self._settle()
            return [*settled, event.raw] if event.data == DONE else settled or [event.raw]
        return []

    def _gather(self, choice: Document) -> None:
        number, delta = choice.get("index", 0), mapping(choice.get("delta"))
        for piece in map(mapping, items(delta.get("tool_calls"))):
            piece["index"] = self._place(number, piece)
            self._grow((number, piece["index"]), piece)
        if delta.get(LEGACY):
            self._grow((number, LEGACY), {"function": delta[LEGACY]})

    def _place(self, number: int, piece: Document) -> int:
        """A number of our own for the call of a piece: some servers give all calls the same."""
        given = (number, piece.get("index", 0))
        place = self._places.get(given, -1)
        known = self._calls.get((number, place))
        call_id = text(piece.get("id"))
        if known is None or (call_id and known.call_id and call_id != known.call_id):
            place = self._places[given] = len(self._calls)
        return place

    def _grow(self, key: _Key, piece: Document) -> None:
        self._waiting.add(key[0])
        call = self._calls.setdefault(key, _Growing())
        if call.judged:
            raise ValueError("a call goes on after its choice had ended")
        body = mapping(piece.get("function") or piece.get("custom"))
        call.parts.append(text(body.get("arguments") or body.get("input")))
        call.names += [name] if (name := text(body.get("name"))) else []
        call.call_id = call.call_id or text(piece.get("id"))
        call.custom = call.custom or "custom" in piece

    def _settle(self) -> Judging[list[bytes]]:
        held, self._held, self._waiting = self._held, [], set()
        refusals: dict[int, list[str]] = {}
        for (choice, _), call in self._calls.items():
            if call.judged:
                continue
            call.judged = True
            refusal = yield from settle(call.whole())
            if refusal is None:
                call.place = self._left(choice)
            else:
                refusals.setdefault(choice, []).append(refusal)
        if not refusals and not self._renumbered():
            return [event.raw for event, _ in held]
        rewritten = [data for each in held for data in self._rewrite(*each, refusals)]
        for number in list(refusals):
            rewritten += self._say(*held[-1], number, refusals)
        return rewritten

    def _renumbered(self) -> bool:
        """Whether a call of this stream was refused: those behind it move up."""
        return any(call.judged and call.place is None for call in self._calls.values())

    def _rewrite(
        self, event: Event, document: Document, refusals: dict[int, list[str]]
    ) -> list[bytes]:
        said = []
        for choice in map(mapping, items(document.get("choices"))):
            number = choice.get("index", 0)
            self._thin(number, mapping(choice.get("delta")))
            if choice.get("finish_reason"):
                said += self._say(event, document, number, refusals)
                if choice["finish_reason"] in _ENDINGS and not self._left(number):
                    choice["finish_reason"] = "stop"
        return [*said, write(document, event.name)]

    def _thin(self, number: int, delta: Document) -> None:
        """Take refused calls out of a delta and give the others their new numbers."""
        kept = []
        for piece in map(mapping, items(delta.get("tool_calls"))):
            place = self._calls[number, piece["index"]].place
            if place is not None:
                kept.append({**piece, "index": place})
        if kept:
            delta["tool_calls"] = kept
        else:
            delta.pop("tool_calls", None)
        if delta.get(LEGACY) and self._calls[number, LEGACY].place is None:
            del delta[LEGACY]

    def _left(self, number: int) -> int:
        """How many calls of a choice may pass."""
        calls = (call for (choice, _), call in self._calls.items() if choice == number)
        return sum(call.place is not None for call in calls)

    def _say(
        self, event: Event, document: Document, number: int, refusals: dict[int, list[str]]
    ) -> list[bytes]:
        if number not in refusals:
            return []
        delta = {"content": "\n\n".join(refusals.pop(number))}
        choice = {"index": number, "delta": delta, "finish_reason": None}
        chunk = {name: each for name, each in document.items() if name != "usage"}
        return [write({**chunk, "choices": [choice]}, event.name)]


def _call(call: Document) -> Call:
    custom = "custom" in call
    body = mapping(call.get("custom" if custom else "function"))
    given = body.get("input" if custom else "arguments")
    return _made(text(body.get("name")), text(call.get("id")), given, custom=custom)


def _made(name: str, call_id: str, given: Any, *, custom: bool) -> Call:
    """A custom tool takes free text, a function the JSON text of an object."""
    return Call(name, {"input": given} if custom else arguments(given), call_id, AGENT)
