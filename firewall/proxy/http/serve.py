"""One client's socket in mitmproxy's hands: bounded in time and in memory.

mitmproxy's own server is not used, only its connection handler (mitmproxy/proxy/server.py).
"""

import asyncio
import inspect
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, cast

from cryptography.hazmat.primitives.serialization import Encoding
from mitmproxy import master, options
from mitmproxy.addons import core, proxyserver, tlsconfig
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, events, layer, layers, mode_specs, server_hooks
from mitmproxy.proxy.layers.tls import TlsEstablishedServerHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler

from firewall.judge import Judge
from firewall.protocols.certificates import read_certificate
from firewall.proxy.handover import Handover, Traffic
from firewall.proxy.http.egress import Egress
from firewall.proxy.http.flow import Flow, flow_from

logger = logging.getLogger(__name__)

FIRST_SECONDS = 10
"""How long a client may take to send its first request's head."""
DIAL_SECONDS = 15
"""For a server's TCP and TLS handshakes together."""
IDLE_SECONDS = 900
"""Without a byte in either direction; model APIs think for minutes."""
HELD_LIMIT = 1 << 20
"""Bytes read from one side that may wait for the judge, a dial, or an HTTP/2 window."""
HELD_AT_ALL = 64 << 20
"""Where both sides wait for each other, both are read up to here; then the flow ends."""

type Hooks = Callable[[str], list[Callable[[Any], Any]]]


class Reader(Protocol):
    """What mitmproxy needs of a StreamReader."""

    async def read(self, size: int) -> bytes: ...


class Interceptor:
    """Serves flows with mitmproxy, embedded with the few addons it needs.

    `authority` holds the certificate authority as mitmproxy's CertStore lays it out, `upstream_ca`
    is a PEM file of the authorities trusted upstream, `addons` follow those of the firewall. To be
    made inside a running event loop.
    Raises FileNotFoundError where the authority is missing: mitmproxy would make up a new one.
    """

    def __init__(
        self, judge: Judge, authority: Path, upstream_ca: str, addons: Sequence[object] = ()
    ) -> None:
        if not (authority / "mitmproxy-ca.pem").exists():
            raise FileNotFoundError(f"no certificate authority in {authority}")
        self.egress = Egress(judge)
        self._hooks: dict[str, list[Callable[[Any], Any]]] = {}
        self.master = master.Master(options.Options())
        first = (core.Core(), proxyserver.Proxyserver())  # type: ignore[no-untyped-call]
        own = (self.egress, self.egress.answers, self.egress.held)
        self.master.addons.add(*first, *own, *addons, tlsconfig.TlsConfig())  # type: ignore[no-untyped-call]
        self.master.options.update(  # type: ignore[no-untyped-call]
            confdir=str(authority),
            ssl_verify_upstream_trusted_ca=upstream_ca or None,
            connection_strategy="lazy",
            upstream_cert=False,
            tcp_timeout=IDLE_SECONDS,
            rawtcp=False,
        )

    async def serve(self, client: socket.socket, given: Handover, traffic: Traffic) -> None:
        """Serve one flow until it ends, counted in `traffic`; closes the socket."""
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader, writer = await asyncio.open_connection(sock=client)
        handler = Handler(self, flow_from(given), reader, writer, traffic)
        handler.begin(given)
        try:
            await handler.handle_client()
        finally:
            writer.close()

    def hooks(self, name: str) -> list[Callable[[Any], Any]]:
        """The addons' functions for a hook; looked up once, which halves a request's cost."""
        if name not in self._hooks:
            chain = (getattr(each, name, None) for each in self.master.addons.chain)
            self._hooks[name] = [each for each in chain if callable(each)]
        return self._hooks[name]


class Handler(ProxyConnectionHandler):
    """Serves one client."""

    def __init__(
        self,
        house: Interceptor,
        known: Flow,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        traffic: Traffic,
    ) -> None:
        kind: Literal["regular", "transparent"]
        kind = "regular" if known.kind == "forward" else "transparent"
        mode = mode_specs.ProxyMode.parse(kind)
        super().__init__(house.master, reader, writer, house.master.options, mode)  # type: ignore[no-untyped-call]
        self.traffic = traffic
        self._house = house
        self._known = known
        self._busy = 0
        self._held: dict[Connection, int] = {}
        self._moved = asyncio.Event()
        self._dials: dict[Connection, asyncio.TimerHandle] = {}
        house.egress.adopt(self.client, known)

    def begin(self, given: Handover) -> None:
        """Set the stage: the destination and the first layer."""
        context = self.layer.context
        if given.kind == "forward":
            self.layer = layers.modes.HttpProxy(context)
        else:
            context.server.address = (given.address or given.host, given.port)
            inside = given.decrypted
            self.layer = self._inside(given) if inside else layers.modes.TransparentProxy(context)
        reader = self.transports[self.client].reader
        assert reader is not None
        source = Source(self, self.client, reader)
        self.transports[self.client].reader = cast("asyncio.StreamReader", source)

    def _inside(self, given: Handover) -> layer.Layer:
        """What the gate took out of the client's TLS, over TLS of our own to the server."""
        self.client.tls = True
        self.client.sni = given.sni
        below = layers.ServerTLSLayer(self.layer.context)
        below.child_layer = layer.NextLayer(self.layer.context)
        return below

    async def handle_client(self) -> None:
        clock = asyncio.get_running_loop().call_later(FIRST_SECONDS, self._check_first)
        try:
            await super().handle_client()
        finally:
            clock.cancel()
            for dial in self._dials.values():
                dial.cancel()
            for transport in self.transports.values():
                # A connection cancelled between its opening and its first read is left open.
                if isinstance(transport.writer, asyncio.StreamWriter):
                    transport.writer.transport.abort()

    async def handle_connection(self, connection: Connection) -> None:
        transport = self.transports[connection]
        if connection is not self.client and transport.reader is not None:
            source = Source(self, connection, transport.reader)
            transport.reader = cast("asyncio.StreamReader", source)
        await super().handle_connection(connection)

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Run a hook. Unlike mitmproxy's own dispatch, an addon that raises ends the flow."""
        self._time_dial(hook)
        self._busy += 1
        try:
            with self.timeout_watchdog.disarm():
                (data,) = hook.args()
                for function in self._house.hooks(hook.name):
                    result = function(data)
                    if inspect.isawaitable(result):
                        await result
        except Exception:
            logger.exception("the hook %s failed; the flow ends", hook.name)
            self.end("a hook failed")
        finally:
            self._busy -= 1
            self._moved.set()

    async def server_event(self, event: events.Event) -> None:
        await super().server_event(event)
        self._moved.set()

    def log(
        self,
        message: str,
        level: int = logging.INFO,
        exc_info: Literal[True]
        | tuple[type[BaseException], BaseException, TracebackType | None]
        | None = None,
    ) -> None:
        super().log(message, level, exc_info)
        if exc_info:
            # mitmproxy logs that a layer has crashed and keeps the connection, which then hangs.
            self.end("a layer failed")

    def end(self, why: str) -> None:
        """End the flow at once."""
        self.client.error = self.client.error or why
        transport = self.transports.get(self.client)
        if transport is not None and transport.handler is not None:
            transport.handler.cancel(why)

    # Bounded memory

    async def room(self, connection: Connection) -> None:
        """Wait until what was read from a connection has found its way on."""
        if not self._busy and not self._dials:
            self._held[connection] = 0
        while self._congested(connection):
            self._moved.clear()
            await self._moved.wait()
            if not self._busy and not self._dials:
                self._held[connection] = 0

    def arrived(self, connection: Connection, size: int) -> None:
        self._held[connection] = self._held.get(connection, 0) + size
        if connection is self.client:
            self.traffic.sent += size
        else:
            self.traffic.received += size

    def _congested(self, connection: Connection) -> bool:
        if (self._busy or self._dials) and self._held.get(connection, 0) > HELD_LIMIT:
            return True
        to_client, to_servers = self._windows()
        ahead, behind = (
            (to_servers, to_client) if connection is self.client else (to_client, to_servers)
        )
        if ahead + behind > HELD_AT_ALL:
            self.end("neither side reads")
        # Window updates come from whoever is not reading: both must not be left unread at once.
        return ahead > HELD_LIMIT >= behind

    def _windows(self) -> tuple[int, int]:
        """Bytes that wait for the client's and for the servers' HTTP/2 windows."""
        waiting = self._known.waiting
        servers = (each for each in self.transports if isinstance(each, Server))
        return waiting(self.client), sum(map(waiting, servers))

    # Bounded time

    def _check_first(self) -> None:
        if not self._known.spoke:
            self._late = asyncio.ensure_future(self._too_late())

    async def _too_late(self) -> None:
        await self._house.egress.late(self.client)
        self.end("no request in time")

    def _time_dial(self, hook: commands.StartHook) -> None:
        match hook:
            case server_hooks.ServerConnectHook(data=data):
                loop = asyncio.get_running_loop()
                self._dials[data.server] = loop.call_later(DIAL_SECONDS, self._give_up, data.server)
            case server_hooks.ServerConnectedHook(data=data) if not data.server.tls:
                self._dialled(data.server)
            case server_hooks.ServerConnectErrorHook(data=data):
                self._dialled(data.server)
            case server_hooks.ServerDisconnectedHook(data=data):
                self._dialled(data.server)
            case TlsEstablishedServerHook(data=data):
                self._dialled(data.conn)
                self._shown(data.conn)

    def _shown(self, server: Connection) -> None:
        """Keep what the server's certificate says, for the record."""
        if server.certificate_list:
            first = server.certificate_list[0].to_cryptography()
            self.traffic.certificate = read_certificate(first.public_bytes(Encoding.DER))

    def _dialled(self, server: Connection) -> None:
        timer = self._dials.pop(server, None)
        if timer is not None:
            timer.cancel()

    def _give_up(self, server: Connection) -> None:
        self._dials.pop(server, None)
        transport = self.transports.get(server)
        if transport is not None and transport.handler is not None:
            transport.handler.cancel(f"no answer from the server within {DIAL_SECONDS} seconds")


class Source:
    """A connection's reader that waits while what it read before cannot go on."""

    def __init__(self, handler: Handler, connection: Connection, reader: Reader) -> None:
        self._handler = handler
        self._connection = connection
        self._reader = reader

    async def read(self, size: int) -> bytes:
        await self._handler.room(self._connection)
        data = await self._reader.read(size)
        self._handler.arrived(self._connection, len(data))
        return data
