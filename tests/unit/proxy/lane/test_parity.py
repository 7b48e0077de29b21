"""The same requests and answers, well-formed and hostile, through the lane and through depth.

Both must give the same verdicts, let the same through, and answer with the same status. Where the
lane is stricter, the corpus says so.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from firewall.requests import HttpRequest, Message, Request
from firewall.verdict import Verdict
from tests.unit.proxy.http.stage import ALLOW, DENY, HOST, LOGIN, read_all
from tests.unit.proxy.lane.stage import LaneStage

END = b"\r\nHost: good.test\r\nConnection: close\r\n\r\n"
POST = b"POST /up HTTP/1.1\r\nHost: good.test\r\nConnection: close\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REQUESTS = {
    "plain": b"GET /a?b=c HTTP/1.1" + END,
    "denied": b"GET /denied HTTP/1.1" + END,
    "denied with a body": b"POST /denied HTTP/1.1\r\nContent-Length: 4" + END + b"body",
    "head": b"HEAD /a HTTP/1.1" + END,
    "counted body": POST + b"Content-Length: 4\r\n\r\nbody",
    "chunked body": CHUNKED + b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
    "chunk extensions": CHUNKED + b"4;a=b\r\nbody\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"4\r\nbody\r\n0\r\nX-Trailer: yes\r\n\r\n",
    "mining in a body": POST + b"Content-Length: %d\r\n\r\n" % len(LOGIN) + LOGIN,
    "expect continue": POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
    "absolute form": b"GET https://good.test/a HTTP/1.1" + END,
    "absolute form of another": b"GET https://evil.test/a HTTP/1.1" + END,
    "asterisk": b"OPTIONS * HTTP/1.1" + END,
    "connect": b"CONNECT evil.test:443 HTTP/1.1" + END,
    "HTTP/1.0": b"GET /a HTTP/1.0\r\nHost: good.test\r\n\r\n",
    "HTTP/1.0 without a host": b"GET /a HTTP/1.0\r\n\r\n",
    "another host": b"GET /a HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n",
    "another port": b"GET /a HTTP/1.1\r\nHost: good.test:1\r\nConnection: close\r\n\r\n",
    "no host": b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET /a HTTP/1.1\r\nHost: evil.test" + END,
    "h2c": b"GET /a HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk" + END,
    "CL and TE": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
    "a signed length": POST + b"Content-Length: +4\r\n\r\nbody",
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "obs-fold": b"GET /a HTTP/1.1\r\nX-A: b\r\n c" + END,
    "bare LF": b"GET /a HTTP/1.1\nHost: good.test\nConnection: close\n\n",
    "a bare CR in a value": b"GET /a HTTP/1.1\r\nX-A: b\rX-B: c" + END,
    "a zero byte": b"GET /a HTTP/1.1\r\nX-A: b\0c" + END,
    "a blank before the colon": b"GET /a HTTP/1.1\r\nX-A : b" + END,
    "a blank in the target": b"GET /a b HTTP/1.1" + END,
    "a method that is no token": b"G(T /a HTTP/1.1" + END,
    "a chunk size that is none": CHUNKED + b"zz\r\nbody\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"2\r\nbody\r\n0\r\n\r\n",
    "not HTTP": b"\x00\x01\x02 hello\n",
}

DRIBBLING = frozenset({"a chunk size that is none", "a chunk longer than its size"})
"""Depth passes on what came before the mistake, the lane nothing that came with it."""

ANSWERS = {
    "counted": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "until the end": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello",
    "nothing": b"",
    "nonsense": b"\x00\xff\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
    "a pool": b"HTTP/1.1 200 OK\r\nX-Stratum: a\r\nContent-Length: 5\r\n\r\nhello",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "obs-fold": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
}

STRICTER = frozenset({"bare LF", "obs-fold", "CL and TE", "two lengths"})
"""Answers that two parsers could read differently: the lane passes none on, whatever depth does."""
EXPLAINED = frozenset({"a pool", "switching"})
"""Where the lane can still say why, and depth cuts."""


@dataclass
class Seen:
    """What a lane made of something."""

    status: bytes
    verdicts: list[tuple[str, str]]
    passed: bytes


def decide(request: Request) -> Verdict:
    denied = isinstance(request, HttpRequest) and (
        request.path == "/denied" or request.authority != HOST or request.authority_port == 1
    )
    return DENY if denied or isinstance(request, Message) else ALLOW


@pytest.fixture(scope="module")
def stage() -> Iterator[LaneStage]:
    with LaneStage(decide) as made:
        yield made


def see(stage: LaneStage, said: bytes, answer: bytes, *, deep: bool) -> Seen:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in head:
            await reader.readuntil(b"0\r\n\r\n")
        elif b"Content-Length: 4" in head:
            await reader.readexactly(4)
        writer.write(answer)
        await writer.drain()

    stage.log.events.clear()
    server = stage.upstream(serve)
    with stage.tls(stage.door(server.port, deep=deep)) as client:
        client.sendall(said)
        received = read_all(client)
    seen = [
        (each["request"]["type"], each["verdict"]["rule"])
        for each in stage.log.events
        if each["kind"] == "verdict"
    ]
    received = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Seen(received[9:12], seen, received.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_meets_the_same_fate(stage: LaneStage, name: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    fast = see(stage, REQUESTS[name], answer, deep=False)
    slow = see(stage, REQUESTS[name], answer, deep=True)
    if name in DRIBBLING:
        assert fast.status in {b"", b"400"}
        assert fast.verdicts[-1][0] == "Message"
    else:
        assert (fast.status, fast.verdicts) == (slow.status, slow.verdicts)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_meets_the_same_fate(stage: LaneStage, name: str) -> None:
    fast = see(stage, REQUESTS["plain"], ANSWERS[name], deep=False)
    slow = see(stage, REQUESTS["plain"], ANSWERS[name], deep=True)
    if name in STRICTER:
        assert fast.status == b"502"
    elif name in EXPLAINED:
        assert fast.status == b"403"
        assert fast.verdicts == slow.verdicts or "fail-closed" in fast.verdicts[-1][1]
    else:
        assert (fast.status, fast.verdicts) == (slow.status, slow.verdicts)
        assert (b"hello" in fast.passed) == (b"hello" in slow.passed)
