"""MCP over stdio: start the server, stand between its pipes and the client's."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

from firewall.frozen import frozen
from firewall.toolcalls.client import Answer, refusal
from firewall.toolcalls.mcp.checker import Checker
from firewall.toolcalls.mcp.lines import Lines
from firewall.toolcalls.mcp.session import Ask, Forward, Listing, Reply, Session

PENDING = 64
"""Messages that wait for the judge at once; more wait in the client's pipe."""
CHUNK = 1 << 16

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@frozen
class Client:
    """The two ends that the client holds the others of."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def serve_stdio(command: Sequence[str], session: Session, checker: Checker) -> int:
    """Run the server until it ends; its exit status, 128 + N where signal N ended it.

    Raises OSError where it cannot be started.
    """
    try:
        server = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(f"the server {command[0]} cannot be started: {why}") from error
    for number in _PASSED_ON:
        asyncio.get_running_loop().add_signal_handler(number, _signal, server, number)
    shell = _Shell(server, session, checker, await _own_pipes())
    client = asyncio.create_task(shell.client())
    client.add_done_callback(lambda task: _end_where_failed(task, server))
    try:
        await shell.server()
    except BaseException:
        _signal(server, signal.SIGKILL)
        raise
    finally:
        client.cancel()
    status = await server.wait()
    await shell.end(status)
    return status if status >= 0 else 128 - status


async def ask(checker: Checker, question: Ask) -> list[Answer]:
    """The answers to all calls of a message; where one fails, a deny."""
    answers = []
    for _, call in question.calls:
        try:
            answers.append(await checker.check(call))
        except Exception as error:
            answers.append(refusal("mcp", repr(error)))
    return answers


async def show(checker: Checker, session: Session, listing: Listing) -> bytes:
    """A list of tools as the client gets to see it."""
    try:
        unusable = await checker.unusable(session.server, listing.names)
    except Exception:
        unusable = listing.names
    return session.show(listing, unusable)


class _Shell:
    def __init__(self, server: Process, session: Session, checker: Checker, own: Client) -> None:
        assert server.stdin is not None
        assert server.stdout is not None
        self._to_server = server.stdin
        self._from_server = server.stdout
        self._own = own
        self._session = session
        self._checker = checker
        self._slots = asyncio.Semaphore(PENDING)

    async def client(self) -> None:
        """Handle the client's lines until there are no more, then close the server's stdin."""
        lines = Lines()
        try:
            async with asyncio.TaskGroup() as group:
                while data := await self._own.reader.read(CHUNK):
                    for line in lines.feed(data):
                        await self._line(line, group)
                await self._line(lines.rest(), group)
        finally:
            self._to_server.close()

    async def server(self) -> None:
        """Hand on the server's lines until there are no more."""
        lines = Lines()
        while data := await self._from_server.read(CHUNK):
            for line in lines.feed(data):
                await self._show(line)
        await self._show(lines.rest())

    async def end(self, status: int) -> None:
        """Tell the client that nobody will answer any more."""
        for line in self._session.end(f"the MCP server has ended with status {status}"):
            await self._tell(line)
        self._own.writer.close()

    async def _line(self, line: bytes, group: asyncio.TaskGroup) -> None:
        step = self._session.from_client(line)
        if isinstance(step, Ask):
            await self._slots.acquire()
            group.create_task(self._judge(step))
        else:
            await self._do(step)

    async def _judge(self, question: Ask) -> None:
        try:
            answers = await ask(self._checker, question)
            await self._do(self._session.settle(question, answers))
        finally:
            self._slots.release()

    async def _do(self, step: Forward | Reply) -> None:
        if isinstance(step, Reply):
            await self._tell(step.raw)
            return
        self._to_server.write(_ended(step.raw))
        await self._to_server.drain()

    async def _show(self, line: bytes) -> None:
        step = self._session.from_server(line)
        if isinstance(step, Listing):
            step = await show(self._checker, self._session, step)
        await self._tell(step)

    async def _tell(self, raw: bytes) -> None:
        """Write to the client; where it has gone, the end of its stdin ends all."""
        with suppress(ConnectionError):
            self._own.writer.write(_ended(raw))
            await self._own.writer.drain()


def _ended(raw: bytes) -> bytes:
    """A message whose line ends, as the last before the end of a stream may not."""
    return raw if raw.endswith(b"\n") or not raw else raw + b"\n"


def _end_where_failed(task: asyncio.Task[None], server: Process) -> None:
    """A server that nobody can talk to any more ends, so that its client hears of it."""
    if not task.cancelled() and task.exception() is not None:
        _signal(server, signal.SIGTERM)


def _signal(server: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        server.send_signal(number)


async def _own_pipes() -> Client:
    """Our own stdin and stdout, which must be pipes or sockets. Raises ValueError otherwise."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, sys.stdin.buffer)
    transport, flow = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, sys.stdout.buffer
    )
    return Client(reader, asyncio.StreamWriter(transport, flow, None, loop))
