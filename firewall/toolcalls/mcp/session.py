"""One MCP conversation, without I/O: messages in, what to do with them out.

Model Context Protocol, revisions 2024-11-05 to 2026-07-28, basic/transports and server/tools. Every
`tools/call` is judged, retries (`inputResponses`) and batches included; the rest passes unchanged.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from firewall.toolcalls.calls import Call
from firewall.toolcalls.client import Answer
from firewall.toolcalls.mcp import strict
from firewall.toolcalls.mcp.pins import Pins

LIMIT = 4 << 20
"""Bytes of one message."""

_INVALID = -32600
_HEAD = 4096
_ID = re.compile(rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\]{0,256}")')


@dataclass(frozen=True, slots=True)
class Forward:
    """Pass these bytes on as they are."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the client with this message; nothing goes to the server. Empty: say nothing."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """Have these calls judged, then hand the answers to `Session.settle`."""

    raw: bytes
    messages: tuple[dict[str, Any], ...]
    calls: tuple[tuple[int, Call], ...]
    batch: bool


type Step = Forward | Reply | Ask


class Session:
    """What passes between one client and the server called `server`."""

    def __init__(self, server: str, pins: Pins) -> None:
        self._server = server
        self._pins = pins

    def from_client(self, raw: bytes) -> Step:
        """What to do with a client's message. Never raises."""
        if not raw.strip():
            return Reply(b"")
        try:
            self._bound(raw)
            value = strict.read(raw)
            return self._step(raw, value)
        except strict.UnreadableError as error:
            return Reply(_dump(_problem(_identity(raw), f"refused by the firewall: {error}")))

    def settle(self, ask: Ask, answers: Sequence[Answer]) -> Forward | Reply:
        """Forward where every call is allowed; else nothing of the message reaches the server."""
        refused = {
            index: answer
            for (index, _), answer in zip(ask.calls, answers, strict=True)
            if not answer.allowed
        }
        if not refused:
            return Forward(ask.raw)
        replies = [
            _refusal(message, refused.get(index))
            for index, message in enumerate(ask.messages)
            if message.get("id") is not None and "method" in message
        ]
        if not replies:
            return Reply(b"")
        return Reply(_dump(replies if ask.batch else replies[0]))

    def from_server(self, raw: bytes) -> bytes:
        """What the client gets: the same bytes, unless they list tools that have changed.

        What cannot be read is withheld; an error stands for it where its id shows. Never raises.
        """
        try:
            self._bound(raw)
            value = strict.read(raw)
            messages = value if isinstance(value, list) else [value]
            changed = [self._pins.filter(message) for message in messages]
            return _dump(value) if any(changed) else raw
        except Exception as error:
            identity = _identity(raw)
            text = f"the server's message was withheld by the firewall: {error}"
            return b"" if identity is None else _dump(_problem(identity, text))

    def _bound(self, raw: bytes) -> None:
        if len(raw) > LIMIT:
            raise strict.UnreadableError(f"more than {LIMIT} bytes")
        if b"\r" in raw.rstrip(b"\r\n"):
            raise strict.UnreadableError("a carriage return within a line")

    def _step(self, raw: bytes, value: Any) -> Step:
        batch = isinstance(value, list)
        messages = tuple(value) if batch else (value,)
        calls = tuple(
            (index, self._call(message))
            for index, message in enumerate(messages)
            if message.get("method") == "tools/call"
        )
        for _, call in calls:
            if (why := self._pins.changed(call.tool)) is not None:
                refused = [Answer("deny", "mcp.changed", why, text=why)] * len(calls)
                return self.settle(Ask(raw, messages, calls, batch), refused)
        return Ask(raw, messages, calls, batch) if calls else Forward(raw)

    def _call(self, message: dict[str, Any]) -> Call:
        params = message.get("params")
        name = params.get("name") if isinstance(params, dict) else None
        arguments = params.get("arguments") if isinstance(params, dict) else None
        if not isinstance(name, str) or not isinstance(arguments, dict | None):
            raise strict.UnreadableError(
                "tools/call needs a name, and arguments that are an object"
            )
        identity = message.get("id")
        call_id = None if identity is None else str(identity)
        return Call(name, arguments or {}, call_id, "mcp", self._server)


def _refusal(message: dict[str, Any], answer: Answer | None) -> dict[str, Any]:
    if answer is None:
        return _problem(message["id"], "not sent: another call of this batch was refused")
    text = answer.text or f"Blocked by the firewall: {answer.reason}"
    result = {
        "resultType": "complete",
        "content": [{"type": "text", "text": text}],
        "isError": True,
    }
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _problem(identity: Any, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": _INVALID, "message": text}}


def _identity(raw: bytes) -> Any:
    """The id of what could not be read, as far as it shows, so that its sender does not wait."""
    found = _ID.search(raw[:_HEAD]) or _ID.search(raw[-_HEAD:])
    try:
        return json.loads(found[1]) if found else None
    except ValueError:
        return None


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
