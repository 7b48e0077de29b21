"""What mitmproxy answers by itself over HTTP/1, in the words of our own pages.

It refuses what it cannot read with a 400 (RFC 9112, 3 and 6.3) before there is a request to judge;
see `make_error_response` in mitmproxy/proxy/layers/http/_http1.py.
"""

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy.layers.http import _http1

from firewall.proxy.http.describing import reason_of
from firewall.proxy.http.pages import malformed_page, unreachable_page

BAD_REQUEST = 400
HEAD_TOO_LONG = 431
"""RFC 6585, 5."""


def make_error_response(status_code: int, message: str = "") -> bytes:
    """A whole response: a refusal for what the client sent, trouble for all else."""
    bad = status_code in (BAD_REQUEST, HEAD_TOO_LONG)
    shown = malformed_page(reason_of(message)) if bad else unreachable_page(message, None, "")
    fields = {**shown.fields, "Connection": "close"}
    response = http.Response.make(status_code, shown.body, fields)
    raw: bytes = http1.assemble_response(response)  # type: ignore[no-untyped-call]
    return raw


def install() -> None:
    """Make mitmproxy answer so."""
    _http1.make_error_response = make_error_response
