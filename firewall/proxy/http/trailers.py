"""HTTP/1 trailers, which mitmproxy cannot forward: it raises, and the connection hangs.

RFC 9110, 6.5.1: an intermediary may discard trailer fields. So they are read and dropped. HTTP/2
trailers, on which gRPC depends, pass.
"""

from h11 import Data, EndOfMessage
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy.layers.http import _http1


class ChunkedWithoutTrailers(ChunkedReader):
    """A chunked body (RFC 9112, 7.1) whose trailer section is read and dropped."""

    def __call__(self, buf: ReceiveBuffer) -> Data | EndOfMessage | None:
        event = super().__call__(buf)
        return EndOfMessage() if isinstance(event, EndOfMessage) else event


def install() -> None:
    """Make mitmproxy read chunked bodies so."""
    _http1.ChunkedReader = ChunkedWithoutTrailers  # type: ignore[attr-defined]
