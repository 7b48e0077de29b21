"""Real servers on loopback: nginx, git's own HTTP backend behind Python, and raw sockets."""

import contextlib
import http.client
import http.server
import itertools
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme

from tests.waiting import PATIENCE, eventually

NAMES = ("origin.test", "git.test", "index.test", "raw.test")


PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A port for a server that cannot choose one itself.

    Not of those that the kernel gives away (ip(7), ip_local_port_range): any process might get it
    before the server does.
    """
    low, high = map(int, PORTS.read_text().split())
    ours = [port for port in range(10_000, 65_536) if not low <= port <= high]
    while True:
        port = secrets.choice(ours or range(10_000, 65_536))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Certificates:
    """An authority of the tests' own and a certificate for the tests' names, as files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        leaf = authority.issue_cert(*NAMES)
        self.authority = folder / "authority.pem"
        self.chain = folder / "chain.pem"
        self.key = folder / "key.pem"
        authority.cert_pem.write_to_path(self.authority)
        leaf.private_key_pem.write_to_path(self.key)
        self.chain.write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class Nginx:
    """nginx with HTTPS (HTTP/1.1 and HTTP/2) and plain HTTP, and a log of what reached it."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.https, self.http = free_port(), free_port()
        self._log = folder / "access.log"
        self._marks = itertools.count()
        root = folder / "root"
        root.mkdir()
        (root / "hello").write_text("hello from nginx\n")
        (root / "large").write_bytes(os.urandom(1 << 20) * 64)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _NGINX.format(
                folder=folder,
                root=root,
                https=self.https,
                http=self.http,
                chain=certificates.chain,
                key=certificates.key,
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        assert program is not None
        self._process = subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)])
        wait_for_port(self.http)

    def requests(self) -> list[str]:
        """What arrived, one "METHOD path protocol host" a request.

        The one worker writes a request's line after its answer, so a request of ours comes last.
        """
        mark = f"/mark-{next(self._marks)}"
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.http, timeout=PATIENCE)
        ) as client:
            client.request("HEAD", mark)
            client.getresponse().read()
        eventually(lambda: f" {mark} " in self._log.read_text())
        lines = self._log.read_text().splitlines()
        return [each for each in lines if not each.startswith("HEAD /mark-")]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


_NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    log_format seen '$request_method $request_uri $server_protocol $http_host';
    access_log {folder}/access.log seen;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{https} ssl http2; listen [::1]:{https} ssl http2;
        listen 127.0.0.1:{http}; listen [::1]:{http};
        ssl_certificate {chain}; ssl_certificate_key {key};
        root {root};
        location / {{ }}
    }}
}}
"""


class GitServer:
    """`git http-backend` over HTTPS: clone and push of one repository, /o/r.git."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.folder = folder
        repository = folder / "o" / "r.git"
        work = folder / "work"
        _git("init", "-q", "--initial-branch=main", str(work))
        (work / "file").write_text("first\n")
        _git("-C", str(work), "add", ".")
        _git("-C", str(work), "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "first")
        _git("clone", "-q", "--bare", str(work), str(repository))
        _git("-C", str(repository), "config", "http.receivepack", "true")
        self.seen: list[str] = []
        self._server, self.port = _serve_cgi(folder, self.seen, certificates)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def _serve_cgi(
    folder: Path, seen: list[str], certificates: Certificates
) -> tuple[http.server.ThreadingHTTPServer, int]:
    class Backend(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._run(b"")

        def do_POST(self) -> None:
            self._run(self._body())

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            return b"".join(chunks)

        def _run(self, body: bytes) -> None:
            seen.append(f"{self.command} {self.path}")
            path, _, query = self.path.partition("?")
            environment = {
                **os.environ,
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "REMOTE_USER": "tester",
                "REMOTE_ADDR": "127.0.0.1",
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                capture_output=True,
                env=environment,
                check=False,
            )
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            self.send_response(200)
            for line in head.decode().splitlines():
                name, _, value = line.partition(": ")
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(rest)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = _SayingGoodbye(("127.0.0.1", 0), Backend)
    server.socket = certificates.context().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, int(server.server_address[1])


class _SayingGoodbye(http.server.ThreadingHTTPServer):
    """Ends TLS with an alert, without which git takes an answer without a length for cut."""

    def shutdown_request(self, request: Any) -> None:
        with contextlib.suppress(OSError):
            request.unwrap()
        self.close_request(request)


class RawServer:
    """A TCP server that remembers what it received and behaves as `serve` says."""

    def __init__(self, serve: Callable[[socket.socket], None] | None = None) -> None:
        self.received: list[bytes] = []
        self._serve = serve or self._echo
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(client,), daemon=True).start()

    def _run(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self._serve(client)

    def _echo(self, client: socket.socket) -> None:
        while data := client.recv(65536):
            self.received.append(data)
            client.sendall(data)


def wait_for_port(port: int) -> None:
    """Return when something listens there."""
    eventually(lambda: _listens(port))


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except OSError:
        return False
    return True
