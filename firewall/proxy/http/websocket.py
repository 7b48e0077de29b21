"""Requests whose answer makes a WebSocket of them, which ends where a message is blocked."""

import contextlib

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestProtocolError,
    ResponseData,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.websocket import WebsocketLayer, WebsocketMessageHook
from mitmproxy.websocket import WebSocketMessage
from wsproto.events import CloseConnection as WebSocketClose
from wsproto.frame_protocol import Opcode
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
        for command in super().passthrough(event):
            if (yield from self._may(command)):
                yield command
        exchange = exchange_of(self.flow)
        child = self.child_layer
        if not isinstance(child, WebsocketLayer) or exchange is None:
            return
        if exchange.blocked is not None:
            yield from self._close_websocket(child, sentence(exchange.blocked))
        elif _held(child) > MESSAGE_LIMIT:
            yield from self._close_websocket(child, "the message is too large to be inspected")

    def _may(self, command: commands.Command) -> layer.CommandGenerator[bool]:
        """Whether a command may be carried out: what a control frame holds is judged as a message,
        which mitmproxy does not do."""
        sent = command.event if isinstance(command, SendHttp) else None
        if not isinstance(sent, RequestData | ResponseData) or self.flow.websocket is None:
            return True
        if not (content := control(sent.data)):
            return True
        closed = self.flow.websocket.closed_by_client  # whose close goes to both sides
        from_client = isinstance(sent, RequestData) if closed is None else closed
        message = WebSocketMessage(Opcode.BINARY, from_client, content)
        self.flow.websocket.messages.append(message)
        yield WebsocketMessageHook(self.flow)
        return not message.dropped

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


def control(frame: bytes) -> bytes:
    """What a control frame tells, as it leaves wsproto: a close's reason, a ping's data; nothing of
    another frame (RFC 6455, 5.2 and 5.5)."""
    opcode = frame[0] & 0x0F if len(frame) > 1 else Opcode.CONTINUATION
    if opcode not in (Opcode.CLOSE, Opcode.PING, Opcode.PONG):
        return b""
    told = frame[2:]
    if frame[1] & 0x80:
        told = bytes(each ^ told[at % 4] for at, each in enumerate(told[4:]))
    return told[2:] if opcode == Opcode.CLOSE else told


def _held(child: WebsocketLayer) -> int:
    return sum(len(each) for ws in (child.client_ws, child.server_ws) for each in ws.frame_buf)
