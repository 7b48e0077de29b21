"""mitmproxy's view of a request becomes what the policy judges, and what is judged is what is sent.

mitmproxy refuses ambiguous framing (`validate_inbound_headers`); what it forwards as it came and
another HTTP parser could read differently is refused or removed here.
"""

import re

from mitmproxy import http

from firewall.proxy.http.asking import Head, ask, canonical
from firewall.proxy.http.flow import Flow
from firewall.requests import HttpRequest
from firewall.vault import Vault

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110, 5.6.2: what methods and header names are made of."""
_TARGET = re.compile(rb"[\x21-\x7e\x80-\xff]*")
_BREAKS = re.compile(rb"[\r\n\x00]")
"""RFC 9110, 5.5: in a header's value these may be read as the end of the line."""

FOR_THE_PROXY = ("proxy-authorization", "proxy-connection", "proxy-authenticate", "keep-alive")
NOT_SWITCHED = ("upgrade", "http2-settings")


class MalformedError(ValueError):
    """A request that two HTTP parsers may read differently."""


def describe(exchange: http.HTTPFlow, flow: Flow, vault: Vault) -> HttpRequest:
    """What the request asks for; raises MalformedError for what is not plainly one thing."""
    request = exchange.request
    if exchange.error is not None:
        raise MalformedError(reason_of(exchange.error.msg))
    _require_plain(request)
    host, port = destination(request, flow)
    head = Head(
        # As it is sent: mitmproxy's own `method` is in upper case, but servers tell cases apart.
        method=request.data.method.decode("ascii"),
        scheme="https" if request.scheme == "https" else "http",
        path=request.path,
        version=request.http_version,
        fields=request.headers.fields,
        stated=_stated(request),
        upgrade=upgrade(request),
    )
    return ask(head, host, port, exchange.client_conn.sni, vault)


def reason_of(error: str) -> str:
    """Why mitmproxy refused a head, without its advice on its own options."""
    if error.startswith("mitmproxy received an HTTP CONNECT request"):
        return "CONNECT inside a connection that has its destination"
    return error.removeprefix("Received ").partition(" from client, refusing")[0]


def destination(request: http.Request, flow: Flow) -> tuple[str, int]:
    """Where the flow goes, or, at an HTTP proxy, what the request's absolute URL names."""
    if flow.kind == "forward":
        return canonical(request.data.host), request.data.port
    return flow.host, flow.port


def upgrade(request: http.Request) -> str | None:
    """The protocol the request wants to switch to, lower case."""
    wanted = str(request.headers.get("upgrade", "")).strip().lower()
    return wanted or None


def prepare(exchange: http.HTTPFlow, flow: Flow) -> None:
    """Make an allowed request ready to send: streamed, in origin form, to be read one way only."""
    request = exchange.request
    request.stream = True
    if not request.is_http2:
        request.authority = ""
    for name in FOR_THE_PROXY if flow.kind == "forward" else ():
        request.headers.pop(name, None)
    if upgrade(request) != "websocket":
        _decline_upgrade(request)
    _drop_hop_fields(request)


def switches_to_websocket(exchange: http.HTTPFlow) -> bool:
    """Whether a 101 answers a WebSocket handshake (RFC 6455, 4.1) and mitmproxy reads on."""
    response = exchange.response
    return (
        response is not None
        and upgrade(exchange.request) == "websocket"
        and str(response.headers.get("upgrade", "")).lower() == "websocket"
        and exchange.request.headers.get("sec-websocket-version") == "13"
    )


def _decline_upgrade(request: http.Request) -> None:
    """RFC 9110, 7.8: Upgrade is for the next hop, which may ignore it. h2c would go unread."""
    for name in NOT_SWITCHED:
        request.headers.pop(name, None)


def _drop_hop_fields(request: http.Request) -> None:
    """RFC 9110, 7.6.1: what Connection names is for the next hop."""
    tokens = [each.strip(" \t") for each in str(request.headers.get("connection", "")).split(",")]
    wanted = {"close", "keep-alive"} | ({"upgrade"} & set(map(str.lower, request.headers)))
    for name in {each.lower() for each in tokens if each} - {"upgrade"}:
        request.headers.pop(name, None)
    kept = [each for each in tokens if each.lower() in wanted and not request.is_http2]
    if kept:
        request.headers["connection"] = ", ".join(kept)
    else:
        request.headers.pop("connection", None)


def _require_plain(request: http.Request) -> None:
    data = request.data
    if not _TOKEN.fullmatch(data.method):
        raise MalformedError(f"the method {data.method!r} is not a token")
    if not _TARGET.fullmatch(data.path):
        raise MalformedError("the request target contains spaces or control characters")
    coding = str(request.headers.get("transfer-encoding", "chunked")).strip(" \t").lower()
    if coding != "chunked":
        raise MalformedError(f"the body is sent as {coding[:80]!r}; only chunked is read")
    for name, value in request.headers.fields:
        if not _TOKEN.fullmatch(name):
            raise MalformedError(f"the header name {name!r} is not a token")
        if _BREAKS.search(value):
            raise MalformedError(f"the header {name.decode()} contains a line break or a zero byte")


def _stated(request: http.Request) -> list[str]:
    stated = [str(each) for each in request.headers.get_all("host")]
    return [*stated, request.authority] if request.authority else stated
