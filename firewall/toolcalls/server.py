"""The service's sockets: HTTP/1.1 over a Unix socket, or over TCP for who has the token.

A thread a connection, so that a slow client or a person who thinks holds up nobody else. Bounded in
connections, in the size of a request, and in the time that a client may take to send one.
"""

import hmac
import io
import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Buffer, Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseServer, ThreadingMixIn
from typing import Any, Literal

from firewall.actor import Actor
from firewall.toolcalls.service import Answer, Service

CONNECTIONS = 64
BODY_LIMIT = 4 << 20
SECONDS = 10.0

type Describe = Callable[[int], Actor]
type Identify = Callable[[socket.socket, str], Actor | None]
"""Who is behind a connection, by the socket and the Authorization header; None for nobody known."""


class ThreadServer(ThreadingMixIn, BaseServer):
    """Serves a listener on threads of its own from its making until `close`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, handler: type["HurriedHandler"]) -> None:
        super().__init__(listener.getsockname(), handler)
        listener.setblocking(True)
        self.socket = listener
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)  # or whoever waits for the end waits for a look
        self.shutdown()
        self._thread.join()
        self.socket.close()

    # What socketserver asks of a server

    def fileno(self) -> int:
        return self.socket.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        return self.socket.accept()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Turn a client away where too many are served."""
        return self._room.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except Exception:  # no thread could be started
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone, or too slow, gets no answer, which means no."""


class _Hurried(socket.SocketIO):
    """Reads from a client that has time `until` then for its whole request."""

    until = 0.0

    def __init__(self, client: socket.socket, mode: Literal["r"]) -> None:
        super().__init__(client, mode)
        self._client = client

    def readinto(self, buffer: Buffer) -> int | None:
        self._client.settimeout(max(self.until - time.monotonic(), 0.001))
        return super().readinto(buffer)


class HurriedHandler(BaseHTTPRequestHandler):
    """One connection; requests one after the other, each sent within SECONDS."""

    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def setup(self) -> None:
        super().setup()
        self._source = _Hurried(self.connection, "r")
        self.rfile = io.BufferedReader(self._source)

    def handle_one_request(self) -> None:
        self._source.until = time.monotonic() + SECONDS
        super().handle_one_request()

    def log_message(self, *_: Any) -> None:
        """Verdicts are recorded; requests are not."""


class Server(ThreadServer):
    """Serves the tool-call service to whom `identify` knows."""

    def __init__(self, listener: socket.socket, service: Service, identify: Identify) -> None:
        self.service = service
        self.identify = identify
        super().__init__(listener, _Handler)


class _Handler(HurriedHandler):
    """Asks the service."""

    server: Server

    def do_GET(self) -> None:
        if actor := self._actor():
            self._answer(b"", actor)

    def do_POST(self) -> None:
        if not (actor := self._actor()):
            return
        length = ",".join(self.headers.get_all("Content-Length", []))
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > BODY_LIMIT:
            why = f"Content-Length must say how long the body is, up to {BODY_LIMIT} bytes"
            self._refuse(413, why)
        elif len(body := self.rfile.read(int(length))) == int(length):
            self._answer(body, actor)

    def _actor(self) -> Actor | None:
        """Who asks; nobody unknown is read any further."""
        actor = self.server.identify(self.connection, self.headers.get("Authorization", ""))
        if actor is None:
            self._refuse(401, "the token is missing or wrong")
        return actor

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True
        self._send(Answer(status, json.dumps({"error": why}).encode()))

    def _answer(self, body: bytes, actor: Actor) -> None:
        self._send(self.server.service.answer(self.command, self.path, body, actor))

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        headers = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body))}
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)


def by_credentials(describe: Describe, users: frozenset[int] | None) -> Identify:
    """The process at the other end of a Unix socket (SO_PEERCRED, unix(7)), if it is one of these
    users; of anybody where there are none, as inside a sandbox."""

    def identify(client: socket.socket, _: str) -> Actor | None:
        size = struct.calcsize("3i")
        found = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid, uid, _gid = struct.unpack("3i", found)
        return describe(pid) if users is None or uid in users else None

    return identify


def by_token(token: str, actor: Actor) -> Identify:
    """Whoever has the token (RFC 6750, 2.1)."""

    def identify(_: socket.socket, authorization: str) -> Actor | None:
        given = authorization.encode(errors="replace")
        right = hmac.compare_digest(given, f"Bearer {token}".encode())
        return actor if right else None

    return identify


def unix_listener(path: Path) -> socket.socket:
    """Listen at a path that only this user reaches. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _is_served(path):
        raise FileExistsError(f"{path} is served already")
    if path.is_socket():
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(CONNECTIONS)
    return listener


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as other:
        return other.connect_ex(str(path)) == 0
