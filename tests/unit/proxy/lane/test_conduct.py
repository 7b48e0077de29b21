"""What each road makes of peers that are slow, early, late, greedy, or gone."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from firewall.proxy.lane import lane, visit
from firewall.requests import Message, Request
from firewall.verdict import Verdict
from tests.unit.proxy.http.stage import (
    ALLOW,
    DENY,
    HANDSHAKE,
    HOST,
    SUBSCRIBE,
    answering,
    flood,
    frame,
    messages,
    read_all,
    until,
    websocket,
)
from tests.unit.proxy.lane.corpus import CHUNKED, HEAD, HELLO, LAST, ask, post
from tests.unit.proxy.lane.origin import answer
from tests.unit.proxy.lane.stage import LaneStage
from tests.waiting import PATIENCE, eventually

BULK = 64 << 20
BOUND = 32 << 20
"""What may be on its way between two peers: buffers of the kernels, of TLS and of the firewall."""


def decide(request: Request) -> Verdict:
    return DENY if isinstance(request, Message) or "/denied" in str(request) else ALLOW


@pytest.fixture(scope="module")
def stage() -> Iterator[LaneStage]:
    with LaneStage(decide) as made:
        yield made


@pytest.fixture(params=[False, True], ids=["lane", "depth"])
def deep(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class Ended:
    """A server that notes how its client's connection ended."""

    def __init__(self, reply: bytes = b"") -> None:
        self.how = ""
        self._reply = reply

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self._reply)
        try:
            while await reader.read(65536):
                pass
            self.how = "end"
        except ConnectionError:
            self.how = "reset"


def plain(stage: LaneStage, port: int, *, deep: bool) -> socket.socket:
    return stage.plain(stage.door(port, deep=deep, protocol="http", sni=None))


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


# Ends


def test_a_client_that_is_gone_leaves_nothing_running(stage: LaneStage, deep: bool) -> None:
    server = Ended(HEAD + CHUNKED + b"\r\n\r\n5\r\nhello\r\n")
    client = plain(stage, stage.upstream(server.serve, tls=False).port, deep=deep)
    client.sendall(ask())
    until(client, b"hello")
    reset(client)
    assert eventually(lambda: server.how)


@pytest.mark.parametrize("framed", [b"Content-Length: 90", CHUNKED])
def test_a_body_that_is_cut_is_not_completed(stage: LaneStage, framed: bytes, deep: bool) -> None:
    server = Ended()
    upstream = stage.upstream(server.serve, tls=False)
    client = plain(stage, upstream.port, deep=deep)
    client.sendall(post(framed, body=b"4\r\nbody\r\n"))
    eventually(lambda: b"body" in upstream.received)
    reset(client)
    assert eventually(lambda: server.how)
    assert b"0\r\n\r\n" not in upstream.received


def test_a_client_that_has_said_all_gets_its_answer(stage: LaneStage) -> None:
    """Depth takes an end for a farewell, as mitmproxy does."""
    asked = asyncio.Event()

    async def think(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.wait_for(asked.wait(), PATIENCE)
        writer.write(HELLO)

    with plain(stage, stage.upstream(think, tls=False).port, deep=False) as client:
        client.sendall(ask())
        client.shutdown(socket.SHUT_WR)
        stage.run(_set(asked))
        assert read_all(client).endswith(b"hello")


async def _set(event: asyncio.Event) -> None:
    event.set()


@pytest.mark.parametrize("alert", [False, True])
def test_an_answer_without_a_length_is_as_whole_as_its_server_says(
    stage: LaneStage, alert: bool, deep: bool
) -> None:
    """RFC 9112, 9.8: whole with an alert, perhaps cut without one. mitmproxy never sends one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"\r\nhello")
        await writer.drain()
        if not alert:
            writer.transport.abort()

    door = stage.door(stage.upstream(serve).port, deep=deep)
    context = ssl.create_default_context(cafile=stage.our_ca)
    with context.wrap_socket(
        stage.plain(door), server_hostname=HOST, suppress_ragged_eofs=False
    ) as client:
        client.sendall(ask())
        assert until(client, b"hello").endswith(b"\r\n\r\nhello")
        if alert and not deep:
            assert client.recv(1) == b""
        else:
            with pytest.raises(ssl.SSLEOFError):
                client.recv(1)


# Kept connections


@pytest.mark.parametrize(
    ("said", "before", "expected"),
    [
        (LAST, b"", b"200"),
        (post(b"Content-Length: 4", b"Connection: close"), b"", b"502"),
        (LAST, b"HTTP/1.1 103 Early Hints\r\n\r\n", b"502"),
        (LAST, b"HTTP/1.1 200", b"502"),
    ],
)
def test_only_what_may_be_asked_twice_is_asked_twice(
    stage: LaneStage, said: bytes, before: bytes, expected: bytes
) -> None:
    """A server closes a kept connection at the moment of a request; RFC 9110, 9.2.2."""

    async def close_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        await reader.read(1000)
        writer.write(before)

    server = stage.upstream(close_later)
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(ask())
        until(client, b"hello")
        client.sendall(said)
        assert read_all(client)[9:12] == expected
    assert server.connections == (2 if expected == b"200" else 1)
    assert server.received.count(b"/last") <= 2


def test_an_answer_too_many_that_comes_late_reaches_nobody(stage: LaneStage, deep: bool) -> None:
    sent = threading.Event()

    async def poison(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            writer.write(HELLO)
            await writer.drain()
            if b"/poison" in head:
                writer.write(answer(b"smuggled"))
                await writer.drain()
                sent.set()

    server = stage.upstream(poison)
    door = stage.door(server.port, deep=deep)
    with stage.tls(door) as client:
        client.sendall(ask(b"/poison"))
        until(client, b"hello")
        assert sent.wait(PATIENCE)
        client.sendall(LAST)
        assert b"smuggled" not in read_all(client)
    with stage.tls(door) as client:
        client.sendall(LAST)
        assert read_all(client).endswith(b"hello")


def test_an_early_answer_survives_the_close_behind_it(stage: LaneStage, deep: bool) -> None:
    """The server says 413 and closes while the client still sends (RFC 9112, 9.6)."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"much", status=b"413 Content Too Large"))

    with stage.tls(stage.door(stage.upstream(refuse).port, deep=deep)) as client:
        client.sendall(post(b"Content-Length: %d" % BULK, body=b""))
        with pytest.raises((ConnectionError, ssl.SSLError)):
            flood(client, bytes(1 << 16), BULK >> 16)
        assert read_all(client).startswith(b"HTTP/1.1 413")


# Time and memory


def test_a_head_that_drips_is_cut_in_time(
    stage: LaneStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte buys no more time, and depth, which judges what there is, has its own bound."""
    monkeypatch.setattr(lane, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(visit, "FIRST_SECONDS", 0.3)
    monkeypatch.setattr("firewall.proxy.http.serve.FIRST_SECONDS", 0.3)
    server = stage.upstream(answering())
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(ask())
        until(client, b"hello")
        with pytest.raises((ConnectionError, ssl.SSLError)):
            drip(client)
    assert b"aaa" not in server.received


def drip(client: socket.socket) -> None:
    for _ in range(int(PATIENCE / 0.05)):
        client.sendall(b"a")
        time.sleep(0.05)


def test_events_arrive_one_by_one(stage: LaneStage, deep: bool) -> None:
    got = threading.Semaphore(0)

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Content-Type: text/event-stream\r\n" + CHUNKED + b"\r\n\r\n")
        for number in range(20):
            writer.write(b"9\r\ndata: %d\n\n\r\n" % (number % 10))
            await writer.drain()
            # The next only once this one has been seen.
            assert await asyncio.to_thread(got.acquire, timeout=PATIENCE)
        writer.write(b"0\r\n\r\n")

    with stage.tls(stage.door(stage.upstream(stream).port, deep=deep)) as client:
        client.sendall(LAST)
        for number in range(20):
            until(client, b"data: %d\n\n" % (number % 10))
            got.release()
        assert read_all(client).endswith(b"0\r\n\r\n")


def test_a_download_waits_for_who_reads_it(stage: LaneStage, deep: bool) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % BULK)
        while sent < BULK:
            writer.write(bytes(1 << 16))
            await writer.drain()
            sent += 1 << 16

    with stage.tls(stage.door(stage.upstream(flood).port, deep=deep)) as client:
        client.sendall(LAST)
        _settled(lambda: sent)
        assert sent < BOUND
        assert _read(client, BULK) >= BULK


def test_an_upload_waits_for_who_reads_it(stage: LaneStage, deep: bool) -> None:
    sent, reads = 0, threading.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.to_thread(reads.wait, PATIENCE)
        await reader.readexactly(BULK)
        writer.write(answer(b"all of it"))

    def push(client: socket.socket) -> None:
        nonlocal sent
        while sent < BULK:
            client.sendall(bytes(1 << 16))
            sent += 1 << 16

    with stage.tls(stage.door(stage.upstream(wait).port, deep=deep)) as client:
        client.sendall(post(b"Content-Length: %d" % BULK, body=b""))
        pushing = threading.Thread(target=push, args=(client,))
        pushing.start()
        _settled(lambda: sent)
        assert sent < BOUND
        reads.set()
        pushing.join(PATIENCE)
        assert until(client, b"all of it")


def _settled(count: Callable[[], int]) -> None:
    """Wait until a count that grows stands still."""
    before = -1
    while (now := count()) != before or not now:
        before = now
        time.sleep(0.2)


def _read(client: socket.socket, size: int) -> int:
    """How many of so many bytes come."""
    read = 0
    while read < size and (piece := client.recv(1 << 20)):
        read += len(piece)
    return read


def test_many_clients_may_rest(stage: LaneStage) -> None:
    stage.gate.post(stage.lane.upstreams.close)  # what the tests before this one have left
    assert eventually(lambda: stage.lane.upstreams.idle == 0)
    server = stage.upstream(answering())
    door = stage.door(server.port)
    clients = [stage.tls(door) for _ in range(100)]
    try:
        for _ in range(2):
            for client in clients:
                client.sendall(ask())
            assert all(b"hello" in until(client, b"hello") for client in clients)
    finally:
        for client in clients:
            client.close()
    eventually(lambda: stage.lane.upstreams.idle)
    assert stage.lane.upstreams.idle <= 32


# TLS and WebSocket


@pytest.mark.skipif(shutil.which("openssl") is None, reason="not installed: openssl")
@pytest.mark.parametrize(
    ("version", "command", "passes"),
    [("-tls1_3", "K", True), ("-tls1_3", "k", True), ("-tls1_2", "R", False)],
)
def test_keys_may_be_updated_and_nothing_negotiated_anew(
    stage: LaneStage, version: str, command: str, passes: bool
) -> None:
    door = stage.door(stage.upstream(answering()).port)
    with subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{door}", "-servername", "good.test",
         version, "-crlf"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
    ) as client:  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        # A command is one only where it is all that is read.
        client.stdin.write(f"{command}\n".encode())
        said, piece = b"", b"?"
        while piece and b"KEYUPDATE" not in said and b"RENEGOTIATING" not in said:
            piece = client.stdout.read(1000)
            said += piece
        with contextlib.suppress(BrokenPipeError):
            client.stdin.write(b"GET /a HTTP/1.1\nHost: good.test\nConnection: close\n\n")
        said += client.stdout.read()
    assert (b"hello" in said) is passes, said


@pytest.mark.parametrize(("text", "passes"), [(b"ping", True), (SUBSCRIBE, False)])
def test_a_websocket_is_watched_wherever_it_begins(
    stage: LaneStage, text: bytes, passes: bool, deep: bool
) -> None:
    server = stage.upstream(websocket)
    with stage.tls(stage.door(server.port, deep=deep)) as client:
        client.sendall(HANDSHAKE)
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        client.sendall(frame(text))
        assert (client.recv(65536) == b"\x81\x04pong") is passes
    assert (messages(server.received) != b"") is passes
