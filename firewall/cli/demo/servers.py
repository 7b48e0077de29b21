"""The demo's own servers: a small HTTPS file server on loopback with a repository to clone."""

import datetime
import http.server
import shutil
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("code.demo.test", "artifacts.demo.test")
LIFETIME = datetime.timedelta(hours=1)


class FileServer:
    """Serves a folder over HTTPS on a free port of 127.0.0.1. `bundle` holds its certificate."""

    def __init__(self, folder: Path) -> None:
        self.bundle = folder / "demo-authority.pem"
        files = folder / "files"
        files.mkdir()
        make_repository(files / "project.git")
        certificate, key = _certificate()
        self.bundle.write_bytes(certificate)
        (folder / "demo-key.pem").write_bytes(key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.bundle, folder / "demo-key.pem")

        class Files(_Quiet):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(files))

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """The demo tells what happens in its own words."""


def make_repository(folder: Path) -> None:
    """A bare repository that a plain file server can serve (git's "dumb" HTTP protocol)."""
    if shutil.which("git") is None:
        folder.mkdir()
        (folder / "HEAD").write_text("ref: refs/heads/main\n")
        return
    work = folder.with_suffix(".work")
    who = ("-c", "user.name=demo", "-c", "user.email=demo@demo.test")
    _git("init", "--quiet", "--initial-branch=main", str(work))
    (work / "train.py").write_text('print("training")\n')
    _git("-C", str(work), "add", ".")
    _git("-C", str(work), *who, "commit", "--quiet", "--message", "Begin")
    _git("clone", "--quiet", "--bare", str(work), str(folder))
    _git("-C", str(folder), "update-server-info")


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def _certificate() -> tuple[bytes, bytes]:
    """A certificate for the demo's hosts that is its own authority, and its key; both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "firewall demo")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFETIME)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in HOSTS]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
