"""The addon that asks the judge, at every point where mitmproxy could let something out.

mitmproxy logs an addon's exception and lets the flow go on (addonmanager.py, `safecall`). So every
hook runs inside `fail_closed`, and nothing here depends on a hook having run: a connection is
opened only to an address that was judged for the flow, a request is sent only when its exchange
says `allowed`, and a message starts out dropped.
"""

from contextlib import AbstractContextManager

from mitmproxy import connection, flow, http, tcp
from mitmproxy.proxy import layer, layers, server_hooks
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HTTPMode

from firewall import judge
from firewall.actor import Actor
from firewall.judge import Judge, fail_closed
from firewall.ports import Answer
from firewall.protocols import Identity, Watch, identify, inspect_response
from firewall.proxy.http import metering
from firewall.proxy.http.answers import Answers
from firewall.proxy.http.asking import canonical
from firewall.proxy.http.bodies import Bodies
from firewall.proxy.http.describing import (
    MalformedError,
    describe,
    prepare,
    switches_to_websocket,
)
from firewall.proxy.http.flow import KEY, NOBODY, Exchange, Flow, exchange_of, flow_at_proxy
from firewall.proxy.http.held import HeldRequests, waits
from firewall.proxy.http.http1 import Misread
from firewall.proxy.http.inject import inject
from firewall.proxy.http.layers import Found, Http
from firewall.proxy.http.refuse import answer, refusal, unreachable
from firewall.proxy.http.road import Road, UnreachableError
from firewall.proxy.http.streams import Closed, Relay
from firewall.proxy.http.tcp import carrier_of, look
from firewall.proxy.http.watching import CARRIER
from firewall.proxy.refusal import sentence
from firewall.requests import Connect, Direction, Finding, Message, Request
from firewall.verdict import Verdict

FIRST_BYTES = 64 << 10
"""What a client may send before it is clear what it speaks."""
STOCK_ACTOR = Actor("mitmproxy", unknown="mitmproxy does not know the process behind a connection")


class Egress:
    """Judges what passes through mitmproxy. `adopt` announces a flow whose context is known; any
    other client is taken for the client of an HTTP proxy."""

    def __init__(self, door: Judge) -> None:
        self.judge = door
        self.answers = Answers(lambda: self.judge)
        self.bodies = Bodies(lambda: self.judge)
        self.held = HeldRequests(self)
        self._flows: dict[str, Flow] = {}

    def adopt(self, client: connection.Client, known: Flow) -> None:
        """Say what is known about a client, before mitmproxy serves it."""
        self._flows[client.id] = known

    # Connections

    def client_connected(self, client: connection.Client) -> None:
        """A connection has been accepted."""

        def refuse(verdict: Verdict) -> None:
            client.error = sentence(verdict)

        with self._guard("client_connected", refuse):
            judge.probe("http.client_connected")
            if client.id not in self._flows:
                self._flows[client.id] = flow_at_proxy(client, STOCK_ACTOR)

    def client_disconnected(self, client: connection.Client) -> None:
        """A connection is gone."""
        with self._guard("client_disconnected", _ignore):
            judge.probe("http.client_disconnected")
            self._flows.pop(client.id, None)

    async def next_layer(self, undecided: layer.NextLayer) -> None:
        """The client's next bytes are there: what do they speak, and may they?"""
        known = self._flow(undecided.context.client)

        def refuse(_: Verdict) -> None:
            undecided.layer = Closed(undecided.context)

        with self._guard("next_layer", refuse, known):
            judge.probe("http.next_layer")
            undecided.layer = await self._choose(undecided, known, final=False)
            known.undecided = undecided if undecided.layer is None else None

    async def late(self, client: connection.Client) -> None:
        """The client has taken too long to say what it wants: judge what there is of it."""
        known = self._flow(client)
        with self._guard("late", _ignore, known):
            judge.probe("http.late")
            if known.undecided is not None and first_bytes(known.undecided):
                await self._choose(known.undecided, known, final=True)

    def http_connect(self, exchange: http.HTTPFlow) -> None:
        """A proxy's client names its destination; what it speaks there is judged next."""
        known = self._flow(exchange.client_conn)

        def refuse(verdict: Verdict) -> None:
            exchange.response = refusal(exchange.request, verdict, None)

        with self._guard("http_connect", refuse, known):
            judge.probe("http.http_connect")
            if known.kind != "forward":
                raise PermissionError("CONNECT inside a connection that has its destination")
            known.kind = "intercept"
            known.judged = False
            known.host = canonical(exchange.request.data.host)
            known.port = exchange.request.data.port

    async def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """The last check before dialling: only what was judged, verified against its name."""
        known = self._flow(data.client)
        earlier = data.server.error
        data.server.error = "the address was not judged"

        def refuse(verdict: Verdict) -> None:
            data.server.error = sentence(verdict)

        with self._guard("server_connect", refuse, known):
            judge.probe("http.server_connect")
            address = data.server.address
            place = (str(address[0]), int(address[1])) if address else ("", 0)
            name = known.reach.get(place)
            if known.kind == "refuse" or name is None:
                raise PermissionError(f"{place[0]} port {place[1]} was not judged for this flow")
            data.server.sni = name
            if data.client.alpn == b"h2" and not data.server.tls:
                data.server.alpn = b"h2"
            data.server.error = earlier

    # HTTP

    async def requestheaders(self, exchange: http.HTTPFlow) -> None:
        """A request's head has arrived, and nothing of it has been sent on."""
        known = self._flow(exchange.client_conn)
        known.spoke = True
        state: Exchange | None = None

        def refuse(verdict: Verdict) -> None:
            answer(exchange, refusal(exchange.request, verdict, state.asked if state else None))

        with self._guard("requestheaders", refuse, known):
            judge.probe("http.requestheaders")
            try:
                vault = self.judge.vault
                state = Exchange(known, describe(exchange, known, vault), vault)
            except MalformedError as error:
                refuse(await self._judge_malformed(Misread(exchange.client_conn, str(error))))
                return
            exchange.metadata[KEY] = state
            if waits(self.judge, state):
                return
            await self.judge_request(exchange, state, refuse)

    async def judge_request(self, exchange: http.HTTPFlow, state: Exchange, refuse: Answer) -> None:
        """Judge a request by all that is known of it, and make it ready to send if it may pass."""
        known, asked = state.flow, state.asked
        if known.kind == "refuse":
            refuse(await self._road().refused(known, asked))
            return
        own = verdict = await self._road().ask(asked, known)
        state.tool_calls = verdict.obligations.tool_calls
        try:
            if verdict.allowed and known.trouble:
                raise UnreachableError(known.trouble)
            if verdict.allowed and known.kind == "forward":
                place = Connect(asked.host, asked.port, protocol="http")
                verdict = await self._road().reach(known, place)
        except UnreachableError as error:
            answer(exchange, unreachable(exchange.request, str(error), asked))
            return
        if not verdict.allowed:
            refuse(verdict)
            return
        if denied := await metering.begin(self.judge, exchange, state, own):
            refuse(denied)
            return
        exchange.request.data.host = known.address_of(asked.host, asked.port) or ""
        prepare(exchange, known)
        if verdict.obligations.inject:
            injections = self.judge.policy.injections(verdict.obligations.inject)
            state.signing = inject(exchange.request, injections, self.judge.vault)
        state.allowed = True

    async def egress_finding(self, found: Found) -> None:
        """Judge what was found in a piece of a body, before it is passed on."""
        known = found.exchange.flow

        def refuse(verdict: Verdict) -> None:
            found.verdict = verdict

        with self._guard("egress_finding", refuse, known):
            judge.probe("http.egress_finding")
            asked = found.exchange.asked
            place = (asked.host, asked.port)
            findings = found.findings + await found.exchange.look_on(found.direction)
            message = Message(*place, CARRIER, found.direction, findings, asked)
            denied = await metering.spent(found.exchange, found.direction, found.size)
            found.verdict = denied or found.exchange.verdict
            if findings and denied is None:
                found.verdict = await self._road().ask(message, known)

    async def egress_malformed(self, misread: Misread) -> None:
        """Record a request that was refused unread; it has been answered with a 400."""
        with self._guard("egress_malformed", _ignore, self._flow(misread.client)):
            judge.probe("http.egress_malformed")
            await self._judge_malformed(misread)

    async def _judge_malformed(self, misread: Misread) -> Verdict:
        """Only likely to be meant: programs write odd heads by mistake as well."""
        known = self._flow(misread.client)
        odd = Finding("protocol-mismatch", "http", misread.why, misread.where, "likely")
        carrier = "tls stream" if misread.client.tls else "tcp stream"
        message = Message(known.host, known.port, carrier, "sent", (odd,))
        return await self._road().ask(message, known)

    async def responseheaders(self, exchange: http.HTTPFlow) -> None:
        """A response's head has arrived; its body is to be streamed."""
        known = self._flow(exchange.client_conn)
        state = exchange_of(exchange)

        def refuse(verdict: Verdict) -> None:
            if state is not None:
                state.blocked = verdict
            elif exchange.killable:
                exchange.kill()  # type: ignore[no-untyped-call]

        with self._guard("responseheaders", refuse, known):
            judge.probe("http.responseheaders")
            if state is None or not state.allowed or exchange.response is None:
                return
            if exchange.response.status_code == 101 and not switches_to_websocket(exchange):
                raise PermissionError("the server switched to a protocol that nobody asked for")
            if exchange.response.status_code == 101 and state.tool_calls:
                raise PermissionError("tool calls cannot be read in a WebSocket")
            head = exchange.response.data
            told = state.vault.answer(head.reason, head.headers.fields)
            if findings := inspect_response(head.headers.fields) + told:
                asked = state.asked
                message = Message(asked.host, asked.port, CARRIER, "received", findings, asked)
                verdict = await self._road().ask(message, known)
                if not verdict.allowed:
                    refuse(verdict)
                    return
            if denied := await metering.answered(state, exchange.response):
                refuse(denied)
                return
            exchange.response.stream = True

    async def websocket_message(self, exchange: http.HTTPFlow) -> None:
        """A WebSocket message waits to be passed on."""
        known = self._flow(exchange.client_conn)
        state = exchange_of(exchange)
        assert exchange.websocket is not None
        message = exchange.websocket.messages[-1]
        # mitmproxy keeps every message for its views; a connection may live for days.
        del exchange.websocket.messages[:-1]
        wanted = not message.dropped
        message.dropped = True

        def refuse(verdict: Verdict) -> None:
            if state is not None:
                state.blocked = verdict

        with self._guard("websocket_message", refuse, known):
            judge.probe("http.websocket_message")
            if state is None or state.blocked is not None:
                return
            direction: Direction = "sent" if message.from_client else "received"
            findings = state.watch_message(direction, message.content)
            if findings:
                place = (state.asked.host, state.asked.port)
                found = Message(*place, "websocket", direction, findings, state.asked)
                verdict = await self._road().ask(found, known)
                if not verdict.allowed:
                    refuse(verdict)
                    return
            if denied := await metering.spent(state, direction, len(message.content)):
                refuse(denied)
                return
            message.dropped = not wanted

    # Streams that are not HTTP

    async def tcp_message(self, stream: tcp.TCPFlow) -> None:
        """A piece of an allowed stream waits to be passed on."""
        known = self._flow(stream.client_conn)
        message = stream.messages[-1]
        del stream.messages[:-1]
        content, message.content = message.content, b""

        def refuse(verdict: Verdict) -> None:
            stream.error = flow.Error(sentence(verdict))

        with self._guard("tcp_message", refuse, known):
            judge.probe("http.tcp_message")
            direction: Direction = "sent" if message.from_client else "received"
            if known.meter and (denied := await known.meter.spent(direction, len(content))):
                refuse(denied)
                return
            if known.reads and (found := look(stream, self.judge.vault, direction, content)):
                told = Message(known.host, known.port, carrier_of(stream), direction, found)
                verdict = await self._road().ask(told, known)
                if not verdict.allowed:
                    refuse(verdict)
            if stream.error is None:
                message.content = content

    async def _choose(
        self, undecided: layer.NextLayer, known: Flow, final: bool
    ) -> layer.Layer | None:
        context = undecided.context
        if context.client.transport_protocol != "tcp":
            return Closed(context)
        if context.layers and isinstance(context.layers[-1], layers.modes.HttpProxy):
            return self._http(known, context, HTTPMode.regular)
        data = first_bytes(undecided)
        identity = identify(data, final=final or len(data) >= FIRST_BYTES)
        if identity is None:
            return None
        if not known.judged:
            await self._road().admit(known, context, identity)
        if identity.protocol == "tls" and not context.client.tls:
            return self._below_tls(known, context)
        if identity.protocol in ("http", "http2", "http-connect"):
            if identity.protocol == "http2":
                context.client.alpn = b"h2"
            return self._http(known, context, HTTPMode.transparent)
        return await self._judge_other(known, context, identity, data)

    def _http(self, known: Flow, context: Context, mode: HTTPMode) -> layer.Layer:
        http_layer = Http(context, mode, self.bodies, self.answers)
        known.waiting = http_layer.waiting
        return http_layer

    def _below_tls(self, known: Flow, context: Context) -> layer.Layer:
        if known.kind == "intercept" and known.verdict.obligations.tls == "passthrough":
            known.reads = False
            return Relay(context) if known.meter else layers.TCPLayer(context, ignore=True)
        below = layers.ServerTLSLayer(context)
        below.child_layer = layers.ClientTLSLayer(context)
        return below

    async def _judge_other(
        self, known: Flow, context: Context, identity: Identity, data: bytes
    ) -> layer.Layer:
        """Not HTTP: judged by what it carries, or for not being what the rule expects."""
        carrier = "tls stream" if context.client.tls else "tcp stream"
        findings = identity.findings or Watch(carrier, "sent").feed(data)
        if known.kind == "refuse" and not findings:
            return Closed(context)
        odd = Finding(
            kind="protocol-mismatch",
            name=identity.protocol,
            evidence=f"the client speaks {identity.protocol}, not HTTP",
            where=f"first bytes of the {carrier}",
        )
        # What is only suspicious may pass; what is not HTTP may not for that.
        proven = any(each.confidence != "suspicious" for each in findings)
        told = findings if proven else (*findings, odd)
        message = Message(known.host, known.port, carrier, "sent", told)
        verdict = await self._road().ask(message, known)
        known.spoke = True
        if known.kind == "refuse" or not verdict.allowed:
            return Closed(context)
        if known.meter is None:
            self._road().limit(known, Connect(known.host, known.port))
        return Relay(context)

    def _road(self) -> Road:
        return Road(self.judge)

    def _flow(self, client: connection.Client) -> Flow:
        return self._flows.get(client.id, NOBODY)

    def _guard(
        self, point: str, refuse: Answer, known: Flow = NOBODY, request: Request | None = None
    ) -> AbstractContextManager[None]:
        return fail_closed(self.judge, f"http.{point}", refuse, request=request, actor=known.actor)


def first_bytes(undecided: layer.NextLayer) -> bytes:
    """What the client has sent so far, below TLS where there is TLS."""
    return bytes(undecided.data_client())  # type: ignore[no-untyped-call]


def _ignore(_: Verdict) -> None:
    """Nothing is left to refuse."""
