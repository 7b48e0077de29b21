"""A loopback stage for the HTTP tests: a judge with fakes, the interceptor, servers, clients.

Everything asynchronous runs in one loop on a thread of its own, so that the clients are what people
use: httpx, curl, plain sockets.
"""

import asyncio
import itertools
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded
from mitmproxy.certs import CertStore
from mitmproxy.proxy.layers.tls import HTTP_ALPNS

from firewall.actor import Actor
from firewall.credentials import KEYS_ALONE
from firewall.deeds import Did, Past
from firewall.judge import Judge
from firewall.proxy.handover import Handover, Traffic
from firewall.proxy.http.serve import Interceptor
from firewall.redaction import Terms
from firewall.requests import Connect, HttpRequest, Message, Request
from firewall.verdict import Action, Severity, Verdict
from tests.waiting import PATIENCE

HOST = "good.test"
ALLOW = Verdict(Action.ALLOW, "test-allow", "the test allows it")
DENY = Verdict(
    Action.DENY, "test-deny", "the test denies it", Severity.WARNING, "ask the test", "test.yaml:1"
)
ACTOR = Actor(sandbox="test")

type Decide = Callable[[Request], Verdict]
type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FakePolicy:
    """Decides as the test says."""

    digest = "0" * 64
    mode = "enforce"

    def __init__(self, decide: Decide) -> None:
        self.rule = decide
        self.names: dict[str, str] = {}

    remembers: frozenset[Did] = frozenset()
    dated: bool = False
    redaction = Terms()
    watched = KEYS_ALONE

    bodies = False
    """Whether what bodies ask is judged."""

    def reads(self, request: HttpRequest) -> bool:
        return self.bodies

    def decide(self, request: Request, actor: Actor, past: Past) -> Verdict:
        return self.rule(request)


class FakeLog:
    """Keeps records; `broken` makes every append fail."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.broken = False

    def append(
        self,
        event: Mapping[str, Any],
        done: Callable[[Exception | None], None] | None = None,
        *,
        urgent: bool = True,
    ) -> None:
        if not self.broken:
            self.events.append(dict(event))
        if done is not None:
            done(OSError("the disk is full") if self.broken else None)


class FakeGpu:
    def fresh(self, actor: Actor, done: Callable[[Mapping[str, Any]], None]) -> None:
        done({"status": "unavailable", "reason": "test"})

    def follow(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        """There is no minute after."""


class Silent:
    def verdict(self, event: Mapping[str, Any], seconds: float) -> None:
        """Counts nothing."""


class Upstream:
    """A TCP or TLS server on loopback that remembers what it was sent."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections = 0
        self.received = bytearray()


class Stage:
    """Everything a test needs; `decide` is the policy, `addons` follow the firewall's own."""

    def __init__(self, decide: Decide = lambda _: ALLOW, addons: Sequence[object] = ()) -> None:
        self._addons = addons
        self.policy = FakePolicy(decide)
        self.log = FakeLog()
        self.traffic: list[Traffic] = []
        self._numbers = itertools.count(1)
        self._ended = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._folder = tempfile.TemporaryDirectory()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        folder = Path(self._folder.name)
        self.ours = CertStore.from_store(folder / "ours", "mitmproxy", 2048)
        self.theirs = CertStore.from_store(folder / "theirs", "upstream", 2048)
        self.strangers = CertStore.from_store(folder / "strangers", "stranger", 2048)
        self.authority = folder / "ours"
        self.our_ca = str(folder / "ours" / "mitmproxy-ca-cert.pem")
        self.upstream_ca = str(folder / "theirs" / "upstream-ca-cert.pem")
        self._thread.start()
        self.interceptor = self.run(self._make())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(PATIENCE)

    async def _make(self) -> Interceptor:
        self._loop.set_task_factory(asyncio.eager_task_factory)
        judge = Judge(self.policy, self.log, FakeGpu(), Silent())  # type: ignore[arg-type]
        return Interceptor(judge, self.authority, self.upstream_ca, self._addons)

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.interceptor.master.done()
        for _ in range(10):  # turns in which what was closed lets go of its sockets
            await asyncio.sleep(0.005)

    # What the tests look at

    def verdicts(self, kind: str) -> list[dict[str, Any]]:
        """The recorded verdicts about requests of a type, e.g. "HttpRequest"."""
        events = [each for each in self.log.events if each["request"]["type"] == kind]
        return [{**each["request"], **each["verdict"]} for each in events]

    def rules(self) -> list[str]:
        return [each["verdict"]["rule"] for each in self.log.events]

    def wait_ended(self) -> Traffic:
        """Wait for a flow to end; its traffic."""
        assert self._ended.wait(PATIENCE), "the flow did not end"
        return self.traffic[-1]

    # Servers

    def upstream(self, serve: Serve, tls: bool = True, h2: bool = False, **names: Any) -> Upstream:
        return self.run(self._listen(serve, tls, h2, **names))

    async def _listen(
        self, serve: Serve, tls: bool, h2: bool, store: CertStore | None = None, name: str = HOST
    ) -> Upstream:
        here = Upstream(0)

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            here.connections += 1
            read = reader.read

            async def noting(n: int = -1) -> bytes:
                data = await read(n)
                here.received += data
                return data

            reader.read = noting  # type: ignore[method-assign]
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                writer.transport.abort()
            finally:
                writer.close()

        context = server_context(store or self.theirs, name, h2) if tls else None
        server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=context)
        self._servers.append(server)
        here.port = server.sockets[0].getsockname()[1]
        return here

    # The door: a listener whose clients are handed over

    def door(self, port: int, **changes: Any) -> int:
        """The port of a listener that hands every client over as if it had asked for `port`."""
        given: dict[str, Any] = {
            "kind": "intercept",
            "client": ("127.0.0.1", 1),
            "host": HOST,
            "port": port,
            "address": "127.0.0.1",
            "protocol": "tls",
            "sni": HOST,
            "actor": ACTOR,
            "verdict": ALLOW,
            **changes,
        }
        return self.run(self._open_door(given))

    async def _open_door(self, given: dict[str, Any]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)

        async def accept() -> None:
            with listener:
                while True:
                    client, _ = await self._loop.sock_accept(listener)
                    self._start(self._serve(client, given))

        self._start(accept())
        port: int = listener.getsockname()[1]
        return port

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket, given: dict[str, Any]) -> None:
        try:
            number = next(self._numbers)
            traffic = Traffic()
            await self.interceptor.serve(client, Handover(flow=number, **given), traffic)
            self.traffic.append(traffic)
        finally:
            self._ended.set()

    # Clients

    def client(self, http2: bool = False) -> httpx.Client:
        context = ssl.create_default_context(cafile=self.our_ca)
        return httpx.Client(
            http1=not http2, http2=http2, verify=context, trust_env=False, timeout=PATIENCE
        )

    def ask(self, door: int, path: str = "/", method: str = "GET", **more: Any) -> httpx.Response:
        """One HTTPS request through the door."""
        with self.client(more.pop("http2", False)) as client:
            return send(client, door, path, method, **more)

    def tls(self, door: int, name: str = HOST, alpn: tuple[str, ...] = ()) -> ssl.SSLSocket:
        """A TLS connection through the door."""
        context = ssl.create_default_context(cafile=self.our_ca)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        plain = socket.create_connection(("127.0.0.1", door), timeout=PATIENCE)
        return context.wrap_socket(plain, server_hostname=name)


def send(
    client: httpx.Client, door: int, path: str = "/", method: str = "GET", **more: Any
) -> httpx.Response:
    headers = {"host": more.pop("host", HOST), **more.pop("headers", {})}
    scheme = more.pop("scheme", "https")
    sni = {"sni_hostname": more.pop("sni", HOST)}
    url = f"{scheme}://127.0.0.1:{door}{path}"
    return client.request(method, url, headers=headers, extensions=sni, **more)


def server_context(store: CertStore, name: str, h2: bool) -> ssl.SSLContext:
    """A server's TLS with a certificate for a name, signed by a store's authority."""
    from cryptography import x509

    entry = store.get_cert(name, [x509.DNSName(name)], None)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        key = entry.privatekey.private_bytes(*_pem_key())
        file.write(key + entry.cert.to_pem())
        file.flush()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file.name)
    protocols = HTTP_ALPNS[1:] if h2 else HTTP_ALPNS[2:]
    context.set_alpn_protocols([each.decode() for each in protocols])
    return context


def _pem_key() -> tuple[Any, Any, Any]:
    from cryptography.hazmat.primitives import serialization as form

    return form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()


def read_all(peer: socket.socket) -> bytes:
    """Everything until the peer closes or resets."""
    data = b""
    try:
        while piece := peer.recv(65536):
            data += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return data


def until(peer: socket.socket, wanted: bytes) -> bytes:
    """What the peer sends up to what is wanted, or to its end."""
    data = b""
    while wanted not in data and (piece := peer.recv(65536)):
        data += piece
    return data


def answering(body: bytes = b"hello", head: bytes = b"") -> Serve:
    """Serves HTTP/1.1 requests without a body."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        while True:
            piece = await reader.read(65536)
            if not piece:
                return
            data += piece
            while b"\r\n\r\n" in data:
                _, _, data = data.partition(b"\r\n\r\n")
                writer.write(
                    b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
                )
                await writer.drain()

    return serve


def saying(reply: bytes) -> Serve:
    """Answers the first bytes with these, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(reply)
        await writer.drain()

    return serve


async def echo_bodies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads whatever comes and answers after each piece that ends a chunked or counted body."""
    while data := await reader.read(65536):
        if data.endswith((b"0\r\n\r\n", b"end")):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()


def speaking_http2(*trailers: tuple[str, str]) -> Serve:
    """An HTTP/2 server that answers every request with its body and trailers, as gRPC does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        bodies: dict[int, bytes] = {}
        while True:
            writer.write(h2.data_to_send())
            await writer.drain()
            data = await reader.read(65536)
            if not data:
                return
            for event in h2.receive_data(data):
                match event:
                    case DataReceived(data=piece, stream_id=stream, flow_controlled_length=size):
                        bodies[stream] = bodies.get(stream, b"") + (piece or b"")
                        h2.acknowledge_received_data(size or 0, stream or 0)
                    case StreamEnded(stream_id=stream):
                        head = [(":status", "200"), ("content-type", "text/plain")]
                        h2.send_headers(stream, head)
                        h2.send_data(stream, b"h2:" + bodies.pop(stream, b""))
                        h2.send_headers(stream, list(trailers), end_stream=True)

    return serve


speak_http2 = speaking_http2(("grpc-status", "0"))


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads everything and says nothing."""
    while await reader.read(65536):
        pass


def deny_http(request: Request) -> Verdict:
    return ALLOW if isinstance(request, Connect) else DENY


LOGIN = (
    json.dumps(
        {
            "id": 1,
            "jsonrpc": "2.0",
            "method": "login",
            "params": {"login": "4" + "A" * 94, "pass": "x", "agent": "XMRig/6.21.0"},
        }
    ).encode()
    + b"\n"
)
SUBSCRIBE = b'{"id":1,"method":"mining.subscribe","params":[]}\n'


def deny_messages(request: Request) -> Verdict:
    return DENY if isinstance(request, Message) else ALLOW


def flood(client: socket.socket, piece: bytes, times: int) -> None:
    """Send until the other side has had enough."""
    for _ in range(times):
        client.sendall(piece)


def get(path: str = "/", *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


HANDSHAKE = get(
    "/ws",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def frame(text: bytes) -> bytes:
    """A masked text frame with a zero mask (RFC 6455, 5.2)."""
    size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + text


def messages(received: bytes | bytearray) -> bytes:
    """What follows a handshake, but for a closing frame."""
    after = bytes(received).partition(b"\r\n\r\n")[2]
    return b"" if after[:1] == b"\x88" else after


async def websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65536)
    writer.write(SWITCHED)
    while await reader.read(65536):
        writer.write(b"\x81\x04pong")
