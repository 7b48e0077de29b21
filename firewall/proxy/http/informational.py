"""Informational responses of HTTP/1 servers, which mitmproxy takes for the answer itself.

RFC 9110, 15.2: a proxy passes 1xx responses on, unless it asked for them. But a client must be able
to do without any: 103 Early Hints (RFC 8297) and 102 are advice, and 100 is answered here before
the server is dialled. So they are read and dropped, as mitmproxy does itself for HTTP/2 servers.
101 switches protocols, and so is an answer.
"""

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ResponseHeaders
from mitmproxy.proxy.layers.http._http1 import Http1Client

SWITCHING_PROTOCOLS = 101


class Http1ClientPastAdvice(Http1Client):
    """A connection to an HTTP/1 server that reads on until the answer proper."""

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        while (yield from self.read_head(event)):
            event = events.DataReceived(self.conn, b"")

    def read_head(self, event: events.ConnectionEvent) -> layer.CommandGenerator[bool]:
        """Read one head; whether it was advice, so that another is to be read."""
        for command in super().read_headers(event):
            if _is_advice(command):
                self.response = None
                return True
            yield command
        return False


def is_advice(status: int) -> bool:
    """Whether an answer proper is still to come."""
    return 100 <= status < 200 and status != SWITCHING_PROTOCOLS


def _is_advice(command: commands.Command) -> bool:
    if not isinstance(command, ReceiveHttp) or not isinstance(command.event, ResponseHeaders):
        return False
    return is_advice(command.event.response.status_code)
