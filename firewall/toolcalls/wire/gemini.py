"""Google's Gemini API: `functionCall` parts of a candidate, whole or streamed.

Source: the API reference, "generateContent" and "streamGenerateContent" (each event is a whole
GenerateContentResponse; without alt=sse the answer is a list of them).
"""

from firewall.toolcalls.calls import UNREADABLE, Call
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

AGENT = "gemini"
CALL = ("functionCall", "function_call")
"""Google's own clients read both spellings of a member, as all of protobuf's JSON (ProtoJSON)."""
IN_PIECES = ("partialArgs", "willContinue", "partial_args", "will_continue")


def recognises(document: Document) -> bool:
    return isinstance(document.get("candidates"), list)


def whole(response: Document) -> Judging[bool]:
    """Replace what may not pass; whether anything was replaced."""
    changed = False
    for candidate in map(mapping, items(response.get("candidates"))):
        parts = items(mapping(candidate.get("content")).get("parts"))
        for place, part in enumerate(map(mapping, parts)):
            calls = [part[name] for name in CALL if isinstance(part.get(name), dict)]
            if calls:
                refusal = yield from settle(*map(_call, calls))
                if refusal is not None:
                    parts[place] = {"text": refusal}
                    changed = True
    return changed


class Stream:
    """One streamed answer: every event holds its calls whole."""

    def event(self, event: Event, document: Document) -> Judging[list[bytes]]:
        changed = yield from whole(document)
        return [write(document, event.name) if changed else event.raw]


def _call(call: Document) -> Call:
    given = arguments(call.get("args") or {})
    if any(call.get(name) for name in IN_PIECES):
        # Vertex AI can stream a call's arguments (streamFunctionCallArguments), name first.
        given = {UNREADABLE: "arguments in pieces; turn streamFunctionCallArguments off"}
    return Call(text(call.get("name")), given, text(call.get("id")) or None, AGENT)
