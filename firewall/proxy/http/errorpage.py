"""What mitmproxy answers by itself over HTTP/1, in the words of our own pages.

It refuses what it cannot read with a 400 (RFC 9112, 3 and 6.3) before there is a request to judge;
see `make_error_response` in mitmproxy/proxy/layers/http/_http1.py.
"""

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy.layers.http import _http1

from firewall.policy.remedies import SPEAK_PLAINLY
from firewall.proxy.http.describing import reason_of
from firewall.proxy.http.refuse import RULE_HEADER
from firewall.proxy.refusal import failure, page
from firewall.verdict import Action, Severity, Verdict

BAD_REQUEST = 400
RULE = "guards.protocol-mismatch"


def make_error_response(status_code: int, message: str = "") -> bytes:
    """A whole response: a refusal for what the client sent, trouble for all else."""
    bad = status_code == BAD_REQUEST
    verdict = Verdict(Action.DENY, RULE, reason_of(message), Severity.WARNING, SPEAK_PLAINLY)
    kind, body = page(verdict, None, "") if bad else failure(message, None, "")
    headers = {"Content-Type": kind, "Connection": "close", **({RULE_HEADER: RULE} if bad else {})}
    response = http.Response.make(status_code, body, headers)
    raw: bytes = http1.assemble_response(response)  # type: ignore[no-untyped-call]
    return raw


def install() -> None:
    """Make mitmproxy answer so."""
    _http1.make_error_response = make_error_response
