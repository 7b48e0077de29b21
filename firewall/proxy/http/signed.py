"""Requests whose head waits for their body: it is signed, or judged by what it asks."""

from mitmproxy import http
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers.http import HttpStream
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook

from firewall.apis import READ_LIMIT
from firewall.proxy.http.flow import exchange_of
from firewall.requests import Direction

LIMIT = 16 << 20
"""Bytes of a body that is held until its request is signed."""
TOO_LARGE = (
    f"a body of more than {LIMIT >> 20} MiB can only be signed where the client states its hash"
    " (x-amz-content-sha256), as it does for S3"
)

type Commands = layer.CommandGenerator[None]


class Signed(HttpStream):
    """A stream that can hold a request back until all of it has passed the recognisers."""

    gathered = b""

    def start_request_stream(self) -> Commands:
        exchange = exchange_of(self.flow)
        if exchange is not None and exchange.signing and exchange.signing.needs_body:
            self.client_state = self.state_gather_request_body
        else:
            yield from self.send_head()

    def state_gather_request_body(
        self, event: RequestData | RequestTrailers | RequestEndOfMessage
    ) -> Commands:
        if isinstance(event, RequestData):
            if not (yield from self.passes("sent", event.data)):
                return
            self.gathered += event.data
            if len(self.gathered) > LIMIT:
                yield from self.fail(TOO_LARGE)
        elif isinstance(event, RequestEndOfMessage):
            self.client_state = self.state_done
            yield from self.send_head()
            if self.client_state == self.state_stream_request_body:
                data = RequestData(self.stream_id, self.gathered)
                yield from super().state_stream_request_body(data)
                yield from super().state_stream_request_body(event)

    def state_consume_request_body(
        self, event: RequestData | RequestTrailers | RequestEndOfMessage
    ) -> Commands:
        """A body that is held back until it is judged. One too long is judged unread, and goes no
        further."""
        exchange = exchange_of(self.flow)
        more = len(event.data) if isinstance(event, RequestData) else 0
        if exchange is None or len(self.request_body_buf) + more <= READ_LIMIT:
            yield from super().state_consume_request_body(event)
            return
        exchange.overlong = True
        self.request_body_buf.clear()  # type: ignore[no-untyped-call]
        yield HttpRequestHook(self.flow)
        if self.flow.response is None:
            yield from self._kill()
        else:
            yield from self.answer(self.flow.response)

    # What the whole stream knows (layers.Stream)

    def send_head(self) -> Commands:
        """Sign, connect, and send the head; the body is streamed after it."""
        raise NotImplementedError

    def passes(
        self, direction: Direction, data: bytes | http.Headers
    ) -> layer.CommandGenerator[bool]:
        """Whether a piece of a body, or what trails it, may go on."""
        raise NotImplementedError

    def fail(self, why: str) -> Commands:
        """Answer that it cannot be done, and read off what is left."""
        raise NotImplementedError

    def answer(self, response: http.Response) -> Commands:
        """Answer at once, and drop what is left of the request."""
        raise NotImplementedError

    def _kill(self) -> Commands:
        """End the stream without an answer."""
        raise NotImplementedError
