"""Serves MCP clients over HTTP/1.1: reads requests, writes what the gateway answers."""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Any

import h11

from firewall.toolcalls.mcp.endpoint import CHUNK, HEAD, Request, refused
from firewall.toolcalls.mcp.http import Gateway
from firewall.toolcalls.mcp.session import LIMIT

logger = logging.getLogger(__name__)

IDLE_SECONDS = 300.0


async def serve_http(
    gateway: Gateway, host: str, port: int, ready: Callable[[tuple[Any, ...]], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the address. Raises OSError."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.start_server(
        lambda reader, writer: _Connection(gateway, reader, writer).run(), host, port
    )
    ready(server.sockets[0].getsockname())
    await stop.wait()
    server.close()


class _Connection:
    """One client's connection, exchange after exchange."""

    def __init__(
        self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._gateway = gateway
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD)

    async def run(self) -> None:
        try:
            while (request := await self._request()) is not None:
                if not await self._while_there(self._exchange(request)):
                    break
                if self._http.our_state is not h11.DONE:
                    break
                self._http.start_next_cycle()
        except (OSError, TimeoutError, h11.ProtocolError) as error:
            logger.debug("an MCP client's connection ended: %r", error)
        finally:
            self._writer.close()

    async def _request(self) -> Request | None:
        """The next request; None where the client has none."""
        head, body = None, bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage | h11.ConnectionClosed):
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            if len(body) > LIMIT:
                await self._send(*refused(413, f"more than {LIMIT} bytes".encode()))
                return None
        if head is None:
            return None
        method, target = head.method.decode("latin-1"), head.target.decode("latin-1")
        return Request(method, target, list(head.headers), bytes(body))

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(IDLE_SECONDS):
                self._http.receive_data(await self._reader.read(CHUNK))
        return event

    async def _while_there(self, exchange: Any) -> bool:
        """Run an exchange until it is done, or its client has gone; whether it was done."""
        work = asyncio.create_task(exchange)
        watch = asyncio.create_task(self._reader.read(CHUNK))
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if watch.done() and not watch.cancelled() and watch.exception() is None and watch.result():
            self._http.receive_data(watch.result())
            await asyncio.wait({work})
        gone = not work.done()
        for task in (work, watch):
            task.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)
        return not gone

    async def _exchange(self, request: Request) -> None:
        try:
            async for event in self._gateway.answer(request):
                await self._send(event)
        except Exception as error:
            logger.debug("an MCP exchange failed", exc_info=error)
            if self._http.our_state is h11.SEND_RESPONSE:
                text = f"Blocked by the firewall: the MCP server did not answer: {error!r}"
                await self._send(*refused(502, text.encode()))
            else:
                self._writer.close()

    async def _send(self, *events: Any) -> None:
        for event in events:
            self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()
