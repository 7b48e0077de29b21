"""Our own answers to HTTP requests: 403 or 429 for a refusal, 502 for a server out of reach."""

import re
from urllib.parse import quote

from mitmproxy import http

from firewall.proxy.http.pages import RULE_HEADER, Page, refusal_page, unreachable_page
from firewall.proxy.refusal import UNREACHABLE, plain, sentence
from firewall.requests import Request
from firewall.verdict import Verdict

GRPC_PERMISSION_DENIED = 7
GRPC_RESOURCE_EXHAUSTED = 8
GRPC_UNAVAILABLE = 14

_QUOTATION = re.compile(r"""[\s:]*(?:\bb)?['"<\[{(].*""", re.DOTALL)
"""How the errors of mitmproxy and h2 repeat what a server has said."""


def refusal(request: http.Request, verdict: Verdict, asked: Request | None) -> http.Response:
    """The 403 or 429 for a denied request, in a form that its client can show."""
    if verdict.rule == UNREACHABLE:
        return unreachable(request, verdict.reason, asked)
    shown = refusal_page(verdict, asked, _accept(request))
    if not _speaks_grpc(request):
        return _respond(request, shown)
    code = GRPC_RESOURCE_EXHAUSTED if verdict.wait else GRPC_PERMISSION_DENIED
    response = _grpc(code, sentence(verdict))
    response.headers[RULE_HEADER] = shown.fields[RULE_HEADER]
    return response


def unreachable(request: http.Request, why: str, asked: Request | None) -> http.Response:
    """The 502 for an allowed request whose server is down, untrusted or speaks nonsense."""
    if _speaks_grpc(request):
        return _grpc(GRPC_UNAVAILABLE, plain(why))
    return _respond(request, unreachable_page(why, asked, _accept(request)))


def unquoted(error: str) -> str:
    """Why an answer cannot be read, without what is in it: that may be a secret which the server
    was sent and the client never was."""
    return _QUOTATION.sub("", error)


def _respond(request: http.Request, shown: Page) -> http.Response:
    body = b"" if request.method == "HEAD" else shown.body
    response = http.Response.make(shown.status, body, shown.fields)
    response.reason = shown.reason
    return response


def _grpc(status: int, message: str) -> http.Response:
    """A Trailers-Only response with a percent-encoded message (gRPC over HTTP/2, "Responses")."""
    response = http.Response.make(200, b"", {"Content-Type": "application/grpc"})
    del response.headers["content-length"]
    response.headers["grpc-status"] = str(status)
    response.headers["grpc-message"] = quote(message, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")
    return response


def _speaks_grpc(request: http.Request) -> bool:
    kind = str(request.headers.get("content-type", "")).lower()
    return request.is_http2 and kind.split(";")[0].split("+")[0].strip() == "application/grpc"


def _accept(request: http.Request) -> str:
    return ",".join(request.headers.get_all("accept"))


def answer(exchange: http.HTTPFlow, response: http.Response) -> None:
    """Let a request be answered so, and go no further."""
    exchange.response = response
    exchange.request.stream = False
    # mitmproxy would ask for the body first (RFC 9110, 10.1.1); the answer is ready.
    exchange.request.headers.pop("expect", None)
