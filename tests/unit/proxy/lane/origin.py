"""An HTTP/1.1 server that reads strictly, remembers what it was asked, and answers by the path."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from firewall.protocols import ProtocolError
from firewall.protocols.http1 import Head, parse_head
from firewall.proxy.lane import messages

CUT = b"<cut>"
"""At the end of an answer: the connection is reset behind it."""
CLOSE = b"<close>"
"""At the end of an answer: the connection is closed behind it."""


def answer(body: bytes = b"hello", *fields: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@dataclass
class Origin:
    """`answers` are the raw answers by path; all others get a 200. `asked` lists the methods,
    paths and bodies of the requests that were complete, `broken` what could not be read."""

    answers: Mapping[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    fields: list[tuple[tuple[bytes, bytes], ...]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        while (piece := await reader.read(65536)) or data:
            data += piece
            while (read := self._read(data)) is not None:
                head, data = read
                if not await self._answered(head, writer):
                    return
            if not piece:
                return

    def _read(self, data: bytes) -> tuple[Head, bytes] | None:
        """One complete request, and what follows it."""
        try:
            head = parse_head(data)
            if head is None:
                return None
            body = messages.request_body(head)
            content = body.feed(data[head.length :])
        except ProtocolError as error:
            self.broken.append(str(error))
            raise ConnectionError from error
        if not body.finished:
            return None
        self.asked.append((head.method, head.target, content))
        self.fields.append(head.headers)
        return head, body.rest

    async def _answered(self, head: Head, writer: asyncio.StreamWriter) -> bool:
        """Answer; whether the connection goes on."""
        said = self.answers.get(head.target, answer(b"" if head.method == "HEAD" else b"hello"))
        writer.write(said.removesuffix(CUT).removesuffix(CLOSE))
        await writer.drain()
        if said.endswith(CUT):
            writer.transport.abort()
        return not said.endswith((CUT, CLOSE))
