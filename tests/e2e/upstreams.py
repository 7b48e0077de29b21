"""More servers on loopback: one that takes uploads, WebSockets, package indexes, and sshd."""

import base64
import hashlib
import http.server
import io
import json
import os
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Message, Request, TextMessage

from tests.e2e.servers import Certificates, RawServer, free_port, wait_for_port
from tests.waiting import PATIENCE


class Web:
    """An HTTPS server that answers from `pages`, and to PUT and POST with what it got.

    `seen` has one "METHOD path" for each request that arrived.
    """

    def __init__(self, certificates: Certificates, pages: Mapping[str, bytes] = {}) -> None:
        self.seen: list[str] = []
        self.pages = dict(pages)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = certificates.context()
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(web: Web) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.seen.append(f"{self.command} {self.path}")
            page = web.pages.get(self.path.partition("?")[0])
            self._answer(404 if page is None else 200, page or b"not here\n")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            web.seen.append(f"{self.command} {self.path}")
            size, digest = 0, hashlib.sha256()
            for piece in self._pieces():
                size += len(piece)
                digest.update(piece)
            self._answer(200, f"{size} {digest.hexdigest()}\n".encode())

        def do_POST(self) -> None:
            self.do_PUT()

        def _pieces(self) -> Any:
            if self.headers.get("Transfer-Encoding") != "chunked":
                left = int(self.headers.get("Content-Length", 0))
                while left:
                    piece = self.rfile.read(min(left, 1 << 16))
                    left -= len(piece)
                    yield piece
                return
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()

        def _answer(self, status: int, body: bytes) -> None:
            kind = "text/html" if body.startswith(b"<") else "application/octet-stream"
            kind = "application/json" if body.startswith(b"{") else kind
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler


def wheel_index(name: str) -> dict[str, bytes]:
    """The pages of a simple index (PEP 503) with one wheel, of a module that says hello."""
    stem = f"{name}-1.0"
    files = {
        f"{name}.py": 'WORDS = "hello from a wheel"\n',
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{each},,\n" for each in [*files, f"{stem}.dist-info/RECORD"])
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{stem}.dist-info/RECORD": record}.items():
            archive.writestr(path, text)
    file = f"{stem}-py3-none-any.whl"
    digest = hashlib.sha256(wheel.getvalue()).hexdigest()
    page = f'<!doctype html><a href="/files/{file}#sha256={digest}">{file}</a>'
    return {f"/simple/{name}/": page.encode(), f"/files/{file}": wheel.getvalue()}


def npm_registry(name: str, port: int) -> dict[str, bytes]:
    """The pages of an npm registry at index.test with one package."""
    manifest = {"name": name, "version": "1.0.0", "main": "index.js"}
    package = io.BytesIO()
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        _add(archive, "package/package.json", json.dumps(manifest))
        _add(archive, "package/index.js", 'module.exports = "hello from a package";\n')
    content = package.getvalue()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    tarball = f"https://index.test:{port}/{name}/-/{name}-1.0.0.tgz"
    version = {**manifest, "dist": {"tarball": tarball, "integrity": integrity}}
    document = {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    return {f"/{name}": json.dumps(document).encode(), f"/{name}/-/{name}-1.0.0.tgz": content}


def _add(archive: tarfile.TarFile, path: str, text: str) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = len(text)
    entry.mode = 0o644
    archive.addfile(entry, io.BytesIO(text.encode()))


def websocket_server(certificates: Certificates) -> RawServer:
    """Accepts WebSockets over TLS and sends every text back; `received` has the texts."""
    context = certificates.context()

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secured:
            _echo_websocket(secured, server.received.append)

    server = RawServer(serve)
    return server


def _echo_websocket(secured: ssl.SSLSocket, received: Callable[[bytes], None]) -> None:
    connection = WSConnection(ConnectionType.SERVER)
    while data := secured.recv(65536):
        connection.receive_data(data)
        for event in connection.events():
            match event:
                case Request():
                    secured.sendall(connection.send(AcceptConnection()))
                case TextMessage(data=text):
                    received(text.encode())
                    secured.sendall(connection.send(Message(text)))
                case CloseConnection():
                    secured.sendall(connection.send(event.response()))
                    return


class Sshd:
    """A real sshd on loopback that lets the holder of `key` in as the tests' user."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.key = _keygen(folder / "client")
        # ssh refuses a key that others can read, so the agent makes a copy of its own.
        self.key.chmod(0o644)
        authorized = folder / "authorized"
        shutil.copy(self.key.with_suffix(".pub"), authorized)
        configuration = folder / "sshd_config"
        configuration.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {_keygen(folder / 'host')}\n"
            f"AuthorizedKeysFile {authorized}\nPidFile none\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nPermitRootLogin yes\n"
            "Subsystem sftp internal-sftp\nAcceptEnv *\nMaxStartups 100\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
        assert program is not None
        command = [program, "-D", "-e", "-f", str(configuration)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for_port(self.port)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


class Dropbear:
    """A real dropbear server, which as root lets the same key in as the Sshd of the same folder.

    It looks for keys in the home only, so it gets a home of its own, which nobody else sees.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        host, home = folder / "dropbear-host", Path.home()
        make = ["dropbearkey", "-t", "ed25519", "-f", str(host)]
        subprocess.run(make, check=True, capture_output=True)
        script = (
            f"mount -t tmpfs -o mode=700 none {home} && mkdir -m 700 {home}/.ssh"
            f" && cp {folder}/authorized {home}/.ssh/authorized_keys"
            f" && exec dropbear -F -E -s -r {host} -p 127.0.0.1:{self.port}"
        )
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            command = ["unshare", "--mount", "sh", "-c", script]
            self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            wait_for_port(self.port)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)


def _keygen(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path
