"""mitmproxy's layers, with what a firewall needs of them.

A refused request is answered at once, its body never kept; every piece of a body is watched, and
judged where something is found, before it is passed on; nothing is dialled without a judged
request; what goes wrong upstream is explained. Follows mitmproxy/proxy/layers/http/__init__.py.
"""

from dataclasses import dataclass
from typing import Protocol

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnection,
    HttpLayer,
    HTTPMode,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._http1 import Http1Connection
from mitmproxy.proxy.layers.http._http2 import Http2Connection

from firewall.proxy.http.answers import Answers, Asked, EgressToolCallHook
from firewall.proxy.http.errorpage import install as explain_errors
from firewall.proxy.http.flow import UNJUDGED, Exchange, exchange_of
from firewall.proxy.http.http1 import Misread, StrictServer
from firewall.proxy.http.http1 import install as read_strictly
from firewall.proxy.http.refuse import refusal, unquoted, unreachable
from firewall.proxy.http.watching import HELD_BACK
from firewall.proxy.http.websocket import WebSocketStream
from firewall.requests import Direction, Finding, ToolCall
from firewall.verdict import Verdict

read_strictly()
explain_errors()

HEAD_LIMIT = 256 << 10
"""Bytes of an HTTP/1 head, or sent ahead of an answer; Apache and nginx take far less."""
DISCARD_LIMIT = 16 << 20
"""Bytes of a refused request's body that are read, so that its client comes to read the answer."""

type Commands = layer.CommandGenerator[None]


@dataclass
class Found:
    """What was found in a piece of a body of this size, which may be nothing where bytes are only
    counted; `verdict` is filled in by the judge."""

    flow: http.HTTPFlow
    exchange: Exchange
    direction: Direction
    findings: tuple[Finding, ...]
    verdict: Verdict | None = None
    size: int = 0


@dataclass
class EgressFindingHook(commands.StartHook):  # type: ignore[no-untyped-call]
    """Asks the addon to judge a finding; the piece waits for it."""

    found: Found


@dataclass
class EgressMalformedHook(commands.StartHook):  # type: ignore[no-untyped-call]
    """Tells the addon of a request that nobody was asked about."""

    misread: Misread


class Watcher(Protocol):
    """Who looks at the pieces of a body, and signs for it."""

    def watch(
        self, flow: http.HTTPFlow, direction: Direction, data: bytes | http.Headers
    ) -> Found | None: ...
    def sign(self, flow: http.HTTPFlow, exchange: Exchange, body: bytes) -> Found | None: ...


class Http(HttpLayer):
    """An HTTP connection of a client, with the streams on it and the servers behind it."""

    def __init__(
        self, context: Context, mode: HTTPMode, watcher: Watcher, answers: Answers
    ) -> None:
        super().__init__(context, mode)
        self._watcher = watcher
        self._answers = answers
        self._reported = False

    def make_stream(self, stream_id: int) -> Commands:
        context = self.context.fork()
        self.streams[stream_id] = Stream(context, stream_id, self._watcher, self._answers)
        yield from self.event_to_child(self.streams[stream_id], events.Start())

    def _handle_event(self, event: events.Event) -> Commands:
        yield from super()._handle_event(event)
        if isinstance(event, events.DataReceived):
            found = self._protocol(event.connection)
            if isinstance(found, Http1Connection) and len(found.buf) > HEAD_LIMIT:
                yield commands.CloseConnection(event.connection)
        yield from self._report_malformed()

    def _report_malformed(self) -> Commands:
        """Once; a head that was sent ahead is read only when the answer before it is complete."""
        found = self._protocol(self.context.client)
        if self._reported or not isinstance(found, StrictServer):
            return
        if found.misread is None and (found.state != found.done or found.request):
            return
        self._reported = True
        yield EgressMalformedHook(found.misread or Misread(self.context.client))

    def waiting(self, connection: Connection) -> int:
        """Bytes that wait for an HTTP/2 peer to grant a larger window (RFC 9113, 5.2)."""
        found = self._protocol(connection)
        if not isinstance(found, Http2Connection):
            return 0
        queues = found.h2_conn.stream_buffers.values()
        return sum(len(each.data) for queue in queues for each in queue)

    def _protocol(self, connection: Connection) -> layer.Layer | None:
        found = self.connections.get(connection)
        return found.context.layers[-1] if found and found.context.layers else None


class Stream(WebSocketStream):
    """One request and its answer."""

    def __init__(
        self, context: Context, stream_id: int, watcher: Watcher, answers: Answers
    ) -> None:
        super().__init__(context, stream_id)
        self._watcher = watcher
        self._answers = answers
        self._answered = False
        self._discarded = 0
        self._held_back = b""

    # The request's head

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        yield from super().state_wait_for_request_headers(event)
        waits = self.client_state == self.state_consume_request_body and not event.end_stream
        if waits and self.flow.response:
            yield from self.answer(self.flow.response)

    def send_head(self) -> Commands:
        if not (yield from self.make_server_connection()):
            return
        self._frame_body()
        head = RequestHeaders(self.stream_id, self.flow.request, end_stream=False)
        yield SendHttp(head, self.context.server)
        self.client_state = self.state_stream_request_body

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        exchange = exchange_of(self.flow)
        if exchange is None or not exchange.allowed:
            yield from self.fail("the request was not judged")
            return False
        if not (yield from self._signs(exchange)):
            return False
        request, server = self.flow.request, self.flow.server_conn
        connection, error = yield GetHttpConnection(
            (request.data.host, request.data.port),
            request.scheme == "https",
            server.via,
            server.transport_protocol,
        )
        if error:
            yield from self.fail(error)
            return False
        self.context.server = self.flow.server_conn = connection
        return True

    def _signs(self, exchange: Exchange) -> layer.CommandGenerator[bool]:
        """Have the request signed, where its rule says so; whether it may go on."""
        body = self.gathered or self.flow.request.data.content or b""
        found = self._watcher.sign(self.flow, exchange, body)
        if found is None:
            return True
        if found.verdict is None:
            yield EgressFindingHook(found)
        verdict = found.verdict or UNJUDGED
        if not verdict.allowed:
            yield from self.answer(refusal(self.flow.request, verdict, exchange.asked))
        return verdict.allowed

    def _frame_body(self) -> None:
        """An HTTP/2 body may have no stated length; unframed in HTTP/1 it would be read as the
        next request."""
        request = self.flow.request
        unframed = request.is_http2 and "content-length" not in request.headers
        if unframed and self.context.server.alpn != b"h2":
            request.headers["transfer-encoding"] = "chunked"

    # The bodies

    def state_stream_request_body(
        self, event: RequestData | RequestTrailers | RequestEndOfMessage
    ) -> Commands:
        told = _told(event)
        if told is None or (yield from self.passes("sent", told)):
            yield from super().state_stream_request_body(event)

    def state_stream_response_body(self, event: events.Event) -> Commands:
        told = _told(event)
        if told is not None and not (yield from self.passes("received", told)):
            return
        held_back = self._held_back
        if isinstance(event, ResponseData):
            event = ResponseData(self.stream_id, held_back + event.data)
            self._held_back = event.data if self._waits(event.data) else b""
        elif held_back:
            self._held_back = b""
            if not (yield from self._send_on(ResponseData(self.stream_id, held_back))):
                return
        if not self._held_back:
            yield from self._send_on(event)

    def _waits(self, data: bytes) -> bool:
        """Whether a piece of the answer waits for the next, as a secret may have begun in it."""
        exchange = exchange_of(self.flow)
        return exchange is not None and exchange.begun and len(data) <= HELD_BACK

    def _send_on(self, event: events.Event) -> layer.CommandGenerator[bool]:
        """Send a part of the answer, with its calls judged; whether the answer goes on."""
        exchange = exchange_of(self.flow)
        calls = isinstance(event, ResponseData | ResponseEndOfMessage)
        if calls and exchange is not None and exchange.tool_calls:
            data = event.data if isinstance(event, ResponseData) else None
            goes_on = yield from self._judge_calls(exchange, data)
            if data is not None or not goes_on:
                return goes_on
        yield from super().state_stream_response_body(event)
        return True

    def _judge_calls(self, exchange: Exchange, data: bytes | None) -> layer.CommandGenerator[bool]:
        """Send on what may go on of an answer; whether the answer goes on."""
        steps, verdict = self._answers.steps(exchange, data), None
        while (step := self._answers.advance(exchange, steps, verdict)) is not None:
            verdict = None
            if isinstance(step, Finding):
                yield EgressFindingHook(Found(self.flow, exchange, "received", (step,)))
            if isinstance(step, Finding | Verdict):
                yield from self._reset()
                yield from self._kill()
                return False
            if isinstance(step, ToolCall):
                asked = Asked(exchange, step)
                yield EgressToolCallHook(asked)
                verdict = asked.verdict
            else:
                yield from super().state_stream_response_body(ResponseData(self.stream_id, step))
        return True

    def passes(
        self, direction: Direction, data: bytes | http.Headers
    ) -> layer.CommandGenerator[bool]:
        found = self._watcher.watch(self.flow, direction, data)
        if found is None:
            return True
        if found.verdict is None:
            yield EgressFindingHook(found)
        if found.verdict is not None and found.verdict.allowed:
            return True
        yield from self._block(found.exchange, found.verdict)
        return False

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        """Explain an answer's head that two parsers may read differently without repeating it."""
        if request or self.flow.response is None:
            return (yield from super().check_invalid(request))
        try:
            validate_headers(self.flow.response)
        except ValueError as error:
            yield commands.CloseConnection(self.flow.server_conn)
            yield from self.fail(f"Cannot read the HTTP response: {unquoted(str(error))}")
            self.server_state = self.state_errored
            return True
        return False

    def check_killed(self, emit_error_hook: bool) -> layer.CommandGenerator[bool]:
        """Asked after each hook. A head that may not pass is answered for, as nothing of it has
        been sent; what the server says after it is dropped."""
        if (yield from super().check_killed(emit_error_hook)):
            return True
        exchange = exchange_of(self.flow)
        if exchange is None or exchange.blocked is None or not self._awaits_answer():
            return False
        yield from self._block(exchange, exchange.blocked)
        self.server_state = self.state_errored
        return True

    def _block(self, exchange: Exchange, verdict: Verdict | None) -> Commands:
        """Stop in the middle; where the answer has not begun, say why."""
        yield from self._reset()
        if self._awaits_answer() and verdict is not None:
            yield from self.answer(refusal(self.flow.request, verdict, exchange.asked))
        else:
            yield from self._kill()

    def _reset(self) -> Commands:
        reset = RequestProtocolError(self.stream_id, "blocked", ErrorCode.KILL)
        yield SendHttp(reset, self.context.server)

    # Answers of our own

    def answer(self, response: http.Response) -> Commands:
        """Answer at once. What is left of the request is read, within bounds, and dropped."""
        self.flow.response = response
        self._answered = True
        unfinished = self.client_state != self.state_done
        if unfinished:
            self.client_state = self.state_discard
            if not self.flow.request.is_http2:
                response.headers["Connection"] = "close"
        yield from self.send_response()
        if unfinished:
            yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def fail(self, why: str) -> Commands:
        """Explain that the server could not be reached."""
        exchange = exchange_of(self.flow)
        asked = exchange.asked if exchange else None
        yield from self.answer(unreachable(self.flow.request, why, asked))

    def state_discard(self, event: events.Event) -> Commands:
        if isinstance(event, RequestData):
            self._discarded += len(event.data)
            if self._discarded > DISCARD_LIMIT:
                yield from self._kill()
        elif isinstance(event, RequestEndOfMessage):
            self.client_state = self.state_done
            self.flow.live = False
            yield DropStream(self.stream_id)

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> Commands:
        if isinstance(event, ResponseProtocolError):
            if self._answered:
                return
            if self._awaits_answer() and event.code.http_status_code() is not None:
                yield from self.fail(unquoted(event.message))
                return
        yield from super().handle_protocol_error(event)

    def _awaits_answer(self) -> bool:
        waits: bool = self.server_state == self.state_wait_for_response_headers
        return waits and self.client_state != self.state_errored

    def _kill(self) -> Commands:
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        kill = ResponseProtocolError(self.stream_id, "blocked", ErrorCode.KILL)
        yield SendHttp(kill, self.context.client)
        yield DropStream(self.stream_id)


def _told(event: events.Event) -> bytes | http.Headers | None:
    """What a piece of a message says; None where it says nothing."""
    match event:
        case RequestData() | ResponseData():
            return event.data
        case RequestTrailers() | ResponseTrailers():
            return event.trailers
    return None
