"""The dashboard's HTTP: one page and its events, for the browser of who was given the token.

Other pages in the same browser must not read it: names other than this server's are refused (DNS
rebinding), so are requests from other origins, and the cookie is never sent along by other sites.
"""

import hmac
import re
import secrets
import socket
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl

from firewall.cli import evidence
from firewall.cli.dashboard.screen import Screen
from firewall.toolcalls.server import SECONDS, HurriedHandler, ThreadServer

KEEP_ALIVE_SECONDS = 5.0
"""How often a client that is shown nothing new is heard of, and one that is gone is noticed."""
_PORT = re.compile(r":[0-9]+\Z")
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class DashboardServer(ThreadServer):
    """Serves a screen to whoever has the token; `host` is the name that --listen gives."""

    def __init__(self, listener: socket.socket, host: str, directory: Path, screen: Screen) -> None:
        self.screen = screen
        self.directory = directory
        self.token = secrets.token_urlsafe(32)
        name = f"[{host}]" if ":" in host else host
        port = listener.getsockname()[1]
        self.names = {*_NAMES, name.lower()}
        self.cookie = f"firewall-dashboard-{port}"
        self.url = f"http://{name}:{port}/?token={self.token}"
        super().__init__(listener, _Handler)

    def holds(self, token: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(token.encode(), self.token.encode())


class _Handler(HurriedHandler):
    server: DashboardServer

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        path, _, query = self.path.partition("?")
        token = dict(parse_qsl(query)).get("token")
        if self._is_foreign():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif path == "/" and token is not None and self.server.holds(token):
            self._welcome()
        elif not self.server.holds(self._cookie()):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif path == "/":
            self._page()
        elif path == "/events":
            self._events()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _is_foreign(self) -> bool:
        """Whether it is asked under another name, or by a page of another origin (RFC 6454)."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            return True
        name = _PORT.sub("", hosts[0].lower())
        origin = self.headers.get("Origin")
        return name not in self.server.names or origin not in (None, f"http://{hosts[0]}")

    def _cookie(self) -> str:
        for each in self.headers.get("Cookie", "").split(";"):
            name, _, value = each.strip().partition("=")
            if name == self.server.cookie:
                return value
        return ""

    def _welcome(self) -> None:
        """Move the token from the address, which is kept in histories, into a cookie (RFC 6265)."""
        cookie = f"{self.server.cookie}={self.server.token}; Path=/; HttpOnly; SameSite=Strict"
        self._send(HTTPStatus.SEE_OTHER, "", {"Location": "/", "Set-Cookie": cookie})

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        allowed = f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'"
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": f"{_POLICY}; {allowed}",
        }
        self._send(HTTPStatus.OK, page(self.server.directory, nonce), headers)

    def _events(self) -> None:
        """What changes, as server-sent events (HTML, 9.2), until the client goes or all ends."""
        self.close_connection = True
        self.connection.settimeout(SECONDS)
        self._head(HTTPStatus.OK, {"Content-Type": "text/event-stream"})
        seen, shown = 0, dict[str, str]()
        while (picture := self.server.screen.look(seen, KEEP_ALIVE_SECONDS)) is not None:
            self.wfile.write(event(shown, picture.frames))
            seen, shown = picture.number, dict(picture.frames)

    def _send(self, status: HTTPStatus, text: str, headers: Mapping[str, str]) -> None:
        body = text.encode()
        self._head(status, {"Content-Length": str(len(body)), **headers})
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        closing = {"Connection": "close"} if self.close_connection else {}
        policy = {"Content-Security-Policy": _POLICY}
        for name, value in {**_HEADERS, **policy, **closing, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse, in words, with nothing of what was asked in them."""
        self.close_connection = True
        status = HTTPStatus(code)
        words = _REFUSALS.get(status, status.phrase)
        self._send(status, f"{words}\n", {"Content-Type": "text/plain; charset=utf-8"})


_REFUSALS = {
    HTTPStatus.FORBIDDEN: "Open the address that firewall dashboard printed, with its token.",
    HTTPStatus.MISDIRECTED_REQUEST: "The dashboard answers as 127.0.0.1, localhost, [::1] and the"
    " host that --listen names, and to no page of another origin.",
}


def event(shown: Mapping[str, str], frames: Mapping[str, str]) -> bytes:
    """What a client that was shown those must hear of to see these: null for what is gone."""
    changed = {name: each for name, each in frames.items() if shown.get(name) != each}
    changed |= dict.fromkeys((name for name in shown if name not in frames), "null")
    if not changed:
        return b":\n\n"
    members = ",".join(f'"{name}":{each}' for name, each in changed.items())
    return f"data: {{{members}}}\n\n".encode()


def page(directory: Path, nonce: str) -> str:
    """The page without its facts, which come as events."""
    script = Path(__file__).with_name("page.js").read_text()
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Firewall</title>
<style nonce="{nonce}">{evidence.style()}</style></head><body>
<h1>Firewall: <span id="state">connecting</span></h1>
<p>The log in <code>{escape(str(directory))}</code></p>
<noscript><p>This page is live by JavaScript; <code>firewall audit report</code> needs none.</p>
</noscript>
<section id="facts"></section><section id="verification"></section>
<section id="gpus"></section><section id="alerts"></section>
<h2>Blocked attempts, the newest first</h2><section id="attempts"></section>
<script nonce="{nonce}">{script}</script></body></html>
"""
