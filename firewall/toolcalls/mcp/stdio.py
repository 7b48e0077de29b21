"""MCP over stdio: start the server, stand between its pipes and the client's."""

import asyncio
import signal
import sys
from collections.abc import Sequence

from firewall.toolcalls.client import Answer, refusal
from firewall.toolcalls.mcp.checker import Checker
from firewall.toolcalls.mcp.session import LIMIT, Ask, Forward, Reply, Session

PENDING = 64
"""Messages that wait for the judge at once; more wait in the client's pipe."""

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def serve_stdio(command: Sequence[str], session: Session, checker: Checker) -> int:
    """Run the server until either side ends; its exit status, 128 + N where signal N ended it."""
    server = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LIMIT
    )
    loop = asyncio.get_running_loop()
    for number in _PASSED_ON:
        loop.add_signal_handler(number, server.send_signal, number)
    shell = _Shell(server, session, checker)
    client = asyncio.create_task(shell.client())
    client.add_done_callback(lambda task: _end_where_failed(task, server))
    try:
        await shell.server()
    except BaseException:
        server.kill()
        raise
    finally:
        client.cancel()
    status = await server.wait()
    return status if status >= 0 else 128 - status


def _end_where_failed(task: asyncio.Task[None], server: asyncio.subprocess.Process) -> None:
    """A server that nobody can talk to any more ends, so that its client hears of it."""
    if not task.cancelled() and task.exception() is not None and server.returncode is None:
        server.terminate()


class _Shell:
    def __init__(
        self, server: asyncio.subprocess.Process, session: Session, checker: Checker
    ) -> None:
        assert server.stdin is not None
        assert server.stdout is not None
        self._to_server = server.stdin
        self._from_server = server.stdout
        self._session = session
        self._checker = checker
        self._slots = asyncio.Semaphore(PENDING)

    async def client(self) -> None:
        """Handle the client's lines until there are no more, then close the server's stdin."""
        reader = asyncio.StreamReader(limit=LIMIT)
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin.buffer)
        try:
            async with asyncio.TaskGroup() as group:
                while line := await _line(reader):
                    step = self._session.from_client(line)
                    if isinstance(step, Ask):
                        await self._slots.acquire()
                        group.create_task(self._judge(step))
                    else:
                        await self._do(step)
        finally:
            self._to_server.close()

    async def server(self) -> None:
        """Hand on the server's lines until there are no more."""
        while line := await _line(self._from_server):
            _tell(self._session.from_server(line))

    async def _judge(self, ask: Ask) -> None:
        try:
            answers = [await self._answer(ask, index) for index in range(len(ask.calls))]
            await self._do(self._session.settle(ask, answers))
        finally:
            self._slots.release()

    async def _answer(self, ask: Ask, index: int) -> Answer:
        try:
            return await self._checker.check(ask.calls[index][1])
        except Exception as error:
            return refusal("mcp", repr(error))

    async def _do(self, step: Forward | Reply) -> None:
        if isinstance(step, Reply):
            _tell(step.raw)
            return
        self._to_server.write(step.raw)
        await self._to_server.drain()


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line, or what stands for one that is too long: more bytes than a session reads."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        head = await reader.readexactly(error.consumed)
        await _skip(reader)
        return head.ljust(LIMIT + 1)


async def _skip(reader: asyncio.StreamReader) -> None:
    while True:
        try:
            await reader.readuntil(b"\n")
            return
        except asyncio.LimitOverrunError as error:
            await reader.readexactly(error.consumed)
        except asyncio.IncompleteReadError:
            return


def _tell(raw: bytes) -> None:
    if raw:
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
