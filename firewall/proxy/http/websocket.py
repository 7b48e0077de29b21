"""Requests whose answer makes a WebSocket of them, which ends where a message is blocked."""

import contextlib

from mitmproxy.proxy import events, layer
from mitmproxy.proxy.layers.http import SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseData,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.websocket import WebsocketLayer
from wsproto.events import CloseConnection as WebSocketClose
from wsproto.utilities import LocalProtocolError

from firewall.proxy.http.flow import exchange_of
from firewall.proxy.http.signed import Signed
from firewall.proxy.refusal import sentence

MESSAGE_LIMIT = 16 << 20
"""Bytes of one WebSocket message, which has to be seen whole."""
POLICY_VIOLATION = 1008
"""RFC 6455, 7.4.1."""

type Commands = layer.CommandGenerator[None]


class WebSocketStream(Signed):
    """A stream that may become a WebSocket."""

    def passthrough(self, event: events.Event) -> Commands:
        yield from super().passthrough(event)
        exchange = exchange_of(self.flow)
        child = self.child_layer
        if not isinstance(child, WebsocketLayer) or exchange is None:
            return
        if exchange.blocked is not None:
            yield from self._close_websocket(child, sentence(exchange.blocked))
        elif _held(child) > MESSAGE_LIMIT:
            yield from self._close_websocket(child, "the message is too large to be inspected")

    def _close_websocket(self, child: WebsocketLayer, why: str) -> Commands:
        # RFC 6455, 5.5: a control frame's payload is 125 bytes at most, two of them the code.
        reason = why.encode("ascii", "replace")[:123].decode()
        with contextlib.suppress(LocalProtocolError):
            frame = child.client_ws.send(WebSocketClose(code=POLICY_VIOLATION, reason=reason))
            yield SendHttp(ResponseData(self.stream_id, frame), self.context.client)
        end = ErrorCode.PASSTHROUGH_CLOSE
        yield SendHttp(ResponseProtocolError(self.stream_id, "EOF", end), self.context.client)
        yield SendHttp(RequestProtocolError(self.stream_id, "EOF", end), self.context.server)
        self._handle_event = self.state_errored


def _held(child: WebsocketLayer) -> int:
    return sum(len(each) for ws in (child.client_ws, child.server_ws) for each in ws.frame_buf)
