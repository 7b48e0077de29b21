"""One MCP conversation, without I/O: messages in, what to do with them out.

Model Context Protocol, revisions 2024-11-05 to 2026-07-28, basic/transports and server/tools. Every
`tools/call` is judged, retries (`inputResponses`) and batches included; the rest passes unchanged.
"""

import json
import re
from collections.abc import Collection, Sequence
from typing import Any

from firewall.frozen import frozen
from firewall.toolcalls.calls import Call
from firewall.toolcalls.client import Answer
from firewall.toolcalls.mcp import strict
from firewall.toolcalls.mcp.pins import Pins

LIMIT = 16 << 20
"""Bytes of one message."""
PENDING = 4096
"""Requests that may wait for the server at once."""

_INVALID = -32600
_GONE = -32000
_HEAD = 4096
_LINE_ENDS = "\u0085\u2028\u2029"
CANCELLED = Answer("deny", "mcp.cancelled", "the client cancelled the call before it was judged")
_ID = re.compile(rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\]{0,256}")')


@frozen
class Forward:
    """Pass these bytes on as they are."""

    raw: bytes


@frozen
class Reply:
    """Answer the client with this message; nothing goes to the server. Empty: say nothing."""

    raw: bytes


@frozen
class Ask:
    """Have these calls judged, then hand the answers to `Session.settle`."""

    raw: bytes
    messages: tuple[dict[str, Any], ...]
    calls: tuple[tuple[int, Call], ...]
    batch: bool


@frozen
class Listing:
    """The server lists these tools; hand those that the policy never allows to `Session.show`."""

    raw: bytes
    value: Any
    tools: tuple[dict[str, Any], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(tool["name"] for tool in self.tools)


type Step = Forward | Reply | Ask


class Session:
    """What passes between one client and the server called `server`, which works in `directory`.

    `line` says whether a message is a line, as over stdio.
    """

    def __init__(self, server: str, pins: Pins, directory: str = "", *, line: bool = True) -> None:
        self.server = server
        self._pins = pins
        self._directory = directory
        self._line = line
        self._pending: dict[str, Any] = {}
        self._held: dict[str, Any] = {}

    def from_client(self, raw: bytes) -> Step:
        """What to do with a client's message. Never raises."""
        if not raw.strip():
            return Reply(b"")
        try:
            self._bound(raw)
            value = strict.read(raw)
            return self._step(self._unbroken(raw), value)
        except Exception as error:
            return Reply(_dump(_problem(_identity(raw), f"refused by the firewall: {error}")))

    def settle(self, ask: Ask, answers: Sequence[Answer]) -> Forward | Reply:
        """Forward where every call is allowed; else nothing of the message reaches the server."""
        refused = {
            index: answer
            for (index, _), answer in zip(ask.calls, answers, strict=True)
            if not answer.allowed
        }
        for index, _ in ask.calls:
            key = ask.messages[index].get("id")
            if key is not None and self._held.pop(_key(key), None) is None:
                refused[index] = CANCELLED
        if not refused:
            return self._forward(ask.raw, ask.messages)
        replies = [
            _refusal(message, refused.get(index))
            for index, message in enumerate(ask.messages)
            if _is_request(message)
        ]
        return Reply(_dump(replies if ask.batch else replies[0]) if replies else b"")

    def from_server(self, raw: bytes) -> bytes | Listing:
        """What the client gets: the same bytes, unless they list tools.

        What cannot be read is withheld; an error stands for it where its id shows. Never raises.
        """
        try:
            self._bound(raw)
            value = strict.read(raw)
        except strict.UnreadableError as error:
            return self._withheld(raw, error)
        raw = self._unbroken(raw)
        messages = value if isinstance(value, list) else [value]
        for message in messages:
            if "method" not in message and (key := message.get("id")) is not None:
                self._pending.pop(_key(key), None)
        lists = [tools for message in messages if (tools := _tools(message)) is not None]
        named = (tool for tools in lists for tool in tools if _is_tool(tool))
        return Listing(raw, value, tuple(named)) if lists else raw

    def show(self, listing: Listing, unusable: Collection[str]) -> bytes:
        """A list of tools without those that are unusable, or changed since they were approved."""
        try:
            hidden = {*unusable, *self._pins.hidden(listing.tools)}
            return _without(hidden, listing)
        except Exception as error:
            return self._withheld(listing.raw, error)

    def end(self, why: str) -> list[bytes]:
        """The server is gone: an error for each request that waits."""
        waiting = {**self._pending, **self._held}
        self._pending.clear()
        self._held.clear()
        return [_dump(_problem(key, why, _GONE)) for key in waiting.values()]

    def _withheld(self, raw: bytes, error: Exception) -> bytes:
        identity = _identity(raw)
        if identity is None:
            return b""
        self._pending.pop(_key(identity), None)
        return _dump(
            _problem(identity, f"the server's message was withheld by the firewall: {error}")
        )

    def _forward(self, raw: bytes, messages: Sequence[dict[str, Any]]) -> Forward | Reply:
        keys = [message["id"] for message in messages if _is_request(message)]
        if len(self._pending) + len(keys) > PENDING:
            problems = [
                _problem(key, "too many requests wait for the server", _GONE) for key in keys
            ]
            return Reply(_dump(problems if len(keys) > 1 else problems[0]))
        self._pending.update({_key(key): key for key in keys})
        return Forward(raw)

    def _bound(self, raw: bytes) -> None:
        if len(raw) > LIMIT:
            raise strict.UnreadableError(f"more than {LIMIT} bytes")
        if self._line and b"\r" in raw.rstrip(b"\r\n"):
            raise strict.UnreadableError("a carriage return within a line")

    def _unbroken(self, raw: bytes) -> bytes:
        """One line for readers, too, that end lines at more characters than a newline (Node's
        readline, Python's splitlines). In what was read, these stand in strings alone."""
        if self._line:
            for char in _LINE_ENDS:
                raw = raw.replace(char.encode(), f"\\u{ord(char):04x}".encode())
        return raw

    def _step(self, raw: bytes, value: Any) -> Step:
        batch = isinstance(value, list)
        messages = tuple(value) if batch else (value,)
        for message in messages:
            self._cancel(message)
        calls = tuple(
            (index, self._call(message))
            for index, message in enumerate(messages)
            if message.get("method") == "tools/call"
        )
        if not calls:
            return self._forward(raw, messages)
        ask = Ask(raw, messages, calls, batch)
        keys = (messages[index].get("id") for index, _ in calls)
        self._held.update({_key(key): key for key in keys if key is not None})
        for _, call in calls:
            if (why := self._pins.changed(call.tool)) is not None:
                return self.settle(ask, [Answer("deny", "mcp.changed", why, text=why)] * len(calls))
        return ask

    def _cancel(self, message: dict[str, Any]) -> None:
        """A call that is cancelled while it waits for its verdict is never sent."""
        params = message.get("params")
        if message.get("method") == "notifications/cancelled" and isinstance(params, dict):
            self._held.pop(_key(params.get("requestId")), None)

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
        return Call(name, arguments or {}, call_id, "mcp", self.server, directory=self._directory)


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


def _problem(identity: Any, text: str, code: int = _INVALID) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": text}}


def _without(hidden: Collection[str], listing: Listing) -> bytes:
    """The listing without some tools; its own bytes where none of them is in it."""
    changed = False
    for message in listing.value if isinstance(listing.value, list) else [listing.value]:
        if (tools := _tools(message)) is not None:
            kept = [each for each in tools if _is_tool(each) and each["name"] not in hidden]
            changed = changed or len(kept) < len(tools)
            message["result"]["tools"] = kept
    return _dump(listing.value) if changed else listing.raw


def _is_request(message: dict[str, Any]) -> bool:
    return "method" in message and message.get("id") is not None


def _tools(message: dict[str, Any]) -> list[Any] | None:
    """The tools that a result lists, whatever was asked: an id is easily reused."""
    result = message.get("result")
    tools = result.get("tools") if isinstance(result, dict) else None
    return tools if isinstance(tools, list) else None


def _is_tool(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _key(identity: Any) -> str:
    """An id as a key that tells 1 from "1"."""
    return json.dumps(identity)


def _identity(raw: bytes) -> Any:
    """The id of what could not be read, as far as it shows, so that its sender does not wait."""
    found = _ID.search(raw[:_HEAD]) or _ID.search(raw[-_HEAD:])
    try:
        return json.loads(found[1]) if found else None
    except ValueError:
        return None


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
