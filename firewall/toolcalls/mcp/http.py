"""MCP over Streamable HTTP: a server on this machine for clients, a client of the real server.

One exchange is one POST (or the GET of a stream, or the DELETE of a session) and its answer: JSON,
or server-sent events, which pass as they arrive (MCP, "Transports", Streamable HTTP).
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import h11

from firewall.toolcalls.mcp import headers, strict
from firewall.toolcalls.mcp.checker import Checker
from firewall.toolcalls.mcp.endpoint import CHUNK, HEAD, Endpoint, Request, refused
from firewall.toolcalls.mcp.events import Stream
from firewall.toolcalls.mcp.pins import Pins
from firewall.toolcalls.mcp.session import LIMIT, Ask, Listing, Reply, Session
from firewall.toolcalls.mcp.stdio import ask, show

CONNECT_SECONDS = 30.0

type Pipes = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Gateway:
    """Judges what clients ask of the server at `endpoint`."""

    def __init__(self, endpoint: Endpoint, server: str, pins: Pins, checker: Checker) -> None:
        self._endpoint = endpoint
        self._server = server
        self._pins = pins
        self._checker = checker

    async def answer(self, request: Request) -> AsyncIterator[h11.Event]:
        """The events of the answer. Raises OSError, h11.RemoteProtocolError or TimeoutError."""
        session = Session(self._server, self._pins, line=False)
        answer = self._endpoint.refusal(request) or await self._judged(session, request)
        if answer is not None:
            for event in answer:
                yield event
            return
        async for event in self._forwarded(session, request):
            yield event

    async def _judged(self, session: Session, request: Request) -> tuple[h11.Event, ...] | None:
        """The answer in the server's place; None where the request may pass."""
        if request.method != "POST":
            return None
        step = session.from_client(request.body)
        if isinstance(step, Reply):
            return refused(_status(step.raw), step.raw)
        body = strict.read(request.body)
        if (why := headers.mismatch(request.headers, body)) is not None:
            return refused(400, _mismatch(body, why))
        if isinstance(step, Ask):
            step = session.settle(step, await ask(self._checker, step))
        return refused(_status(step.raw), step.raw) if isinstance(step, Reply) else None

    async def _forwarded(self, session: Session, request: Request) -> AsyncIterator[h11.Event]:
        reader, writer = await self._connect()
        try:
            http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD)
            for sent in self._endpoint.request(request):
                writer.write(http.send(sent) or b"")
            await writer.drain()
            response = await _head(http, reader)
            body = _body(http, reader)
            async for event in self._shown(session, response, body):
                yield event
        finally:
            writer.close()

    async def _connect(self) -> Pipes:
        there = self._endpoint
        context = ssl.create_default_context() if there.secure else None
        async with asyncio.timeout(CONNECT_SECONDS):
            return await asyncio.open_connection(there.host, there.port, ssl=context)

    async def _shown(
        self, session: Session, response: h11.Response, body: AsyncIterator[bytes]
    ) -> AsyncIterator[h11.Event]:
        kind = _kind(response)
        if kind == "text/event-stream":
            yield self._endpoint.response(response)
            stream = Stream()
            async for data in body:
                for event in stream.feed(data):
                    passed = await self._message(session, event.data)
                    yield h11.Data(data=event.carrying(passed))
        else:
            whole = await _whole(body)
            if whole.strip() and (kind == "application/json" or response.status_code < 300):
                whole = await self._message(session, whole)
                if not whole:
                    raise h11.RemoteProtocolError("the MCP server's answer is no message")
            yield self._endpoint.response(response, len(whole))
            yield h11.Data(data=whole)
        yield h11.EndOfMessage()

    async def _message(self, session: Session, raw: bytes) -> bytes:
        if not raw.strip():
            return raw
        step = session.from_server(raw)
        return await show(self._checker, session, step) if isinstance(step, Listing) else step


async def _head(http: h11.Connection, reader: asyncio.StreamReader) -> h11.Response:
    while True:
        event = await _next(http, reader)
        if isinstance(event, h11.Response):
            return event
        if not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the MCP server hung up")


async def _body(http: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while not isinstance(event := await _next(http, reader), h11.EndOfMessage):
        if not isinstance(event, h11.Data):
            raise h11.RemoteProtocolError("the MCP server hung up")
        yield bytes(event.data)


async def _next(http: h11.Connection, reader: asyncio.StreamReader) -> Any:
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await reader.read(CHUNK))
    return event


async def _whole(body: AsyncIterator[bytes]) -> bytes:
    whole = bytearray()
    async for data in body:
        whole += data
        if len(whole) > LIMIT:
            raise h11.RemoteProtocolError(f"the MCP server's answer is over {LIMIT} bytes")
    return bytes(whole)


def _kind(response: h11.Response) -> str:
    """The media type of an answer. Raises where it is encoded or told twice: none could read it."""
    if _only(response, b"content-encoding") not in ("", "identity"):
        raise h11.RemoteProtocolError("the MCP server's answer is compressed")
    return _only(response, b"content-type").partition(";")[0].strip()


def _only(response: h11.Response, name: bytes) -> str:
    found = [value for each, value in response.headers if each == name]
    if len(found) > 1:
        raise h11.RemoteProtocolError(f"the MCP server's answer has two {name.decode()} headers")
    return b"".join(found).decode("latin-1").strip().lower()


def _status(raw: bytes) -> int:
    """200 for a tool's refusal, 202 for silence, 400 for what is no message."""
    if not raw:
        return 202
    message = json.loads(raw)
    return 400 if isinstance(message, dict) and "error" in message else 200


def _mismatch(body: Any, why: str) -> bytes:
    key = body.get("id") if isinstance(body, dict) else None
    error = {"code": headers.MISMATCH, "message": f"HeaderMismatch: {why}"}
    return json.dumps({"jsonrpc": "2.0", "id": key, "error": error}).encode()
