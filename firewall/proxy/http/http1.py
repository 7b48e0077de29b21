"""mitmproxy's HTTP/1, read as strictly as the fast lane reads it (proxy/lane).

mitmproxy is lenient: bare line feeds, folded lines, control characters and any HTTP/1.x pass. So
heads and chunks go through the firewall's own parsers first, and what two parsers could read
differently is refused, whichever way a flow takes. See mitmproxy/proxy/layers/http/_http1.py.

Trailers are read and dropped, which RFC 9110, 6.5.1, allows; mitmproxy raises over them, and the
connection hangs. HTTP/2 trailers, on which gRPC depends, pass.
"""

import h11
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.connection import Client
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, ResponseProtocolError
from mitmproxy.proxy.layers.http._http1 import Http1Server

from firewall.frozen import frozen
from firewall.protocols import ProtocolError
from firewall.protocols.http1 import LIMIT, AnswerHead, TooLongError, parse_answer, parse_head
from firewall.protocols.http1body import Chunked
from firewall.proxy.http.errorpage import BAD_REQUEST, HEAD_TOO_LONG
from firewall.proxy.http.informational import Http1ClientPastAdvice, is_advice


class Chunks:
    """A chunked body, in the place of h11's reader. `fault` says why it cannot be read."""

    def __init__(self) -> None:
        self.fault: ProtocolError | None = None
        self._body = Chunked()

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        if self._body.finished:
            return h11.EndOfMessage()
        data = buf.maybe_extract_at_most(len(buf))
        if not data:
            return None
        content = self._feed(bytes(data))
        if self._body.finished:
            buf += self._body.rest
        if content:
            return h11.Data(content)
        return h11.EndOfMessage() if self._body.finished else None

    def read_eof(self) -> h11.EndOfMessage:
        raise h11.RemoteProtocolError("the body ends before its last chunk")

    def _feed(self, data: bytes) -> bytes:
        try:
            return self._body.feed(data)
        except ProtocolError as error:
            self.fault = error
            raise h11.RemoteProtocolError(str(error)) from error


@frozen
class Misread:
    """What a client sent that was refused unread, in the head of a request or in its body."""

    client: Client
    why: str = "the head of a request cannot be read as one thing"
    where: str = "request head"


class StrictServer(Http1Server):
    """The side of a client. `misread` says what of it could not be read."""

    misread: Misread | None = None

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            if not (yield from self._is_whole(event)):
                return
            self._skip_blank_line()
        yield from super().read_headers(event)

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        for command in super().read_body(event):
            fault = self.body_reader.fault if isinstance(self.body_reader, Chunks) else None
            if fault is not None and isinstance(command, commands.CloseConnection):
                yield from self._refuse(fault, "request body")
            yield command

    def _is_whole(self, event: events.DataReceived) -> layer.CommandGenerator[bool]:
        """Whether there is a sound head; one that is not ends the connection."""
        try:
            return _may_end(event, self.buf) and parse_head(bytes(self.buf)) is not None
        except ProtocolError as error:
            yield from self._refuse(error, "request head")
        yield commands.CloseConnection(self.conn)
        self.state = self.done
        return False

    def _skip_blank_line(self) -> None:
        """RFC 9112, 2.2; h11 would take it for a head without lines."""
        if bytes(self.buf).startswith(b"\r\n"):
            self.buf.maybe_extract_at_most(2)

    def _refuse(self, error: ProtocolError, where: str) -> layer.CommandGenerator[None]:
        """Say why, unless an answer has begun."""
        self.misread = Misread(self.context.client, str(error), where)
        if self.response is None:
            status = HEAD_TOO_LONG if isinstance(error, TooLongError) else BAD_REQUEST
            yield commands.SendData(self.conn, _http1.make_error_response(status, str(error)))


class StrictClient(Http1ClientPastAdvice):
    """The side of a server. `_advice` counts the bytes of informational responses in a row."""

    _advice = 0

    def read_head(self, event: events.ConnectionEvent) -> layer.CommandGenerator[bool]:
        if isinstance(event, events.ConnectionClosed):
            # mitmproxy would tell the client of these bytes, which nobody has looked at.
            self.buf.maybe_extract_at_most(len(self.buf))
        elif self.request is not None and not (yield from self._is_whole(event)):
            return False
        return (yield from super().read_head(event))

    def _is_whole(self, event: events.ConnectionEvent) -> layer.CommandGenerator[bool]:
        """Whether there is a sound head; one that is not ends the connection."""
        try:
            return _may_end(event, self.buf) and self._parse() is not None
        except ProtocolError as error:
            why = f"the answer of the server cannot be read: {error}"
        assert self.stream_id is not None
        yield commands.CloseConnection(self.conn)
        fault = ResponseProtocolError(self.stream_id, why, ErrorCode.GENERIC_SERVER_ERROR)
        yield ReceiveHttp(fault)
        return False

    def _parse(self) -> AnswerHead | None:
        answer = parse_answer(bytes(self.buf))
        if answer is not None:
            self._advice = self._advice + answer.length if is_advice(answer.status) else 0
        if self._advice > LIMIT:
            raise ProtocolError("there is no end of informational responses")
        return answer


def _may_end(event: events.ConnectionEvent, buf: ReceiveBuffer) -> bool:
    """Whether a head is worth a look; bytes that drip would else cost by their square."""
    data = event.data if isinstance(event, events.DataReceived) else b""
    return not data or b"\n" in data or len(buf) >= LIMIT


def install() -> None:
    """Make mitmproxy read HTTP/1 so."""
    _http1.ChunkedReader = Chunks  # type: ignore[assignment,attr-defined]
    http.Http1Server = StrictServer  # type: ignore[attr-defined]
    http.Http1Client = StrictClient  # type: ignore[attr-defined]
