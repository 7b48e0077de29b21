"""Where the MCP server is, and how requests and answers look on their way to it, without I/O."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import h11

from firewall.frozen import frozen

CHUNK = 1 << 16
HEAD = 1 << 16
"""Bytes of the head of a request or an answer."""

_OURS = frozenset(
    {
        *(b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
        *(b"proxy-authorization", b"proxy-authenticate", b"proxy-connection", b"expect"),
        *(b"host", b"content-length", b"accept-encoding", b"origin"),
    }
)
"""Headers that are each connection's own (RFC 9110, 7.6.1)."""
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

type Headers = list[tuple[bytes, bytes]]


@frozen
class Request:
    """A client's request. Header names are in lower case."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""

    def header(self, name: bytes) -> str:
        """The values of a header, joined."""
        found = (value for key, value in self.headers if key == name)
        return b", ".join(found).decode("latin-1").strip()


class Endpoint:
    """The MCP server at `url`, for clients that reach the proxy as `listen`.

    Raises ValueError for what is no URL of HTTP.
    """

    def __init__(self, url: str, listen: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError(f"--url {url} is no MCP server; write for example https://host/mcp")
        self.secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = parts.port or (443 if self.secure else 80)
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._authority = parts.netloc
        self._names = _LOCAL | {listen}

    def refusal(self, request: Request) -> tuple[h11.Event, ...] | None:
        """The answer to what is no request of MCP, or comes from a web page elsewhere."""
        if not self._is_ours(request):
            return refused(403, b"not for other sites (DNS rebinding)")
        if request.target != self.target:
            return refused(404, f"only {self.target} is served".encode())
        if request.method not in ("POST", "GET", "DELETE"):
            return refused(405, b"POST, GET and DELETE are served")
        if request.method != "POST":
            return refused(400, b"only POST has a body") if request.body else None
        return None if _is_json(request) else refused(415, b"application/json in UTF-8 is served")

    def request(self, request: Request) -> Iterable[h11.Event]:
        """The same request as the server gets it."""
        own: Headers = [
            (b"host", self._authority.encode()),
            (b"accept-encoding", b"identity"),
            (b"connection", b"close"),
        ]
        if request.method == "POST":
            own.append((b"content-length", str(len(request.body)).encode()))
        kept = _kept(request.headers)
        yield h11.Request(method=request.method, target=self.target, headers=[*own, *kept])
        yield h11.Data(data=request.body)
        yield h11.EndOfMessage()

    def response(self, response: h11.Response, size: int | None = None) -> h11.Response:
        """The head of an answer as the client gets it; without a `size` it is a stream."""
        kept = _kept(response.headers)
        if size is not None and response.status_code not in (204, 304):
            kept.append((b"content-length", str(size).encode()))
        return h11.Response(status_code=response.status_code, headers=kept, reason=response.reason)

    def _is_ours(self, request: Request) -> bool:
        """Whether Host and Origin name this machine (MCP, Streamable HTTP, security warning)."""
        origin = request.header(b"origin")
        host = urlsplit(f"//{request.header(b'host')}").hostname
        return host in self._names and (not origin or urlsplit(origin).hostname in self._names)


def refused(status: int, body: bytes) -> tuple[h11.Event, ...]:
    """A whole answer of our own."""
    kind = b"application/json" if body[:1] in (b"{", b"[") else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    head = h11.Response(status_code=status, headers=headers)
    return (head, h11.Data(data=body), h11.EndOfMessage())


def _kept(headers: Any) -> Headers:
    """The headers that go on; those that Connection names do not."""
    headers = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    named = (value for name, value in headers if name == b"connection")
    own = {each.strip().lower() for value in named for each in value.split(b",")} | _OURS
    return [(name, value) for name, value in headers if name not in own]


def _is_json(request: Request) -> bool:
    """Whether a body is what was read of it: other charsets may say something else."""
    kind, _, parameters = request.header(b"content-type").lower().partition(";")
    charset = parameters.replace('"', "").replace(" ", "")
    plain = request.header(b"content-encoding").lower() in ("", "identity")
    return plain and kind.strip() == "application/json" and charset in ("", "charset=utf-8")
