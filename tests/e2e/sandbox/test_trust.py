"""Programs inside believe the firewall's certificates, told by a variable or not."""

import datetime
import shutil
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from firewall.sandbox import Authority, Sandbox
from tests.e2e.sandbox.inside import PYTHON, Inside
from tests.waiting import PATIENCE


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    """A TLS server named server.test, with a certificate from the firewall's authority."""
    pem = (authority.directory / "mitmproxy-ca.pem").read_bytes()
    signer = serialization.load_pem_private_key(pem, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(pem)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server.test")])
    names = x509.SubjectAlternativeName([x509.DNSName("server.test")])
    leaf = (
        x509.CertificateBuilder(issuer.subject, name, key.public_key(), 1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(signer, hashes.SHA256())
    )
    file = tmp_path / "leaf.pem"
    file.write_bytes(
        leaf.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def answer_once(sandbox: Sandbox, server: ssl.SSLContext) -> None:
    sandbox.tcp.settimeout(PATIENCE)
    flow, _ = sandbox.tcp.accept()
    flow.settimeout(PATIENCE)
    try:
        with server.wrap_socket(flow, server_side=True) as secured:
            secured.recv(1000)
            secured.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\ntrusted")
    except OSError:
        flow.close()


URL = "https://server.test/"
FETCH = """
import socket, ssl
raw = socket.create_connection(("203.0.113.1", 443))
with ssl.create_default_context().wrap_socket(raw, server_hostname="server.test") as s:
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n"); print(s.recv(100).decode()[-7:])
"""
NODE = (
    "require('https').get({host: '203.0.113.1', servername: 'server.test'},"
    " r => r.on('data', d => console.log(String(d)))).on('error', e => console.log(e.message))"
)
OPENSSL = (
    *("openssl", "s_client", "-connect", "203.0.113.1:443", "-servername", "server.test"),
    *("-verify_return_error", "-quiet"),
)
CLIENTS = {
    "python": [PYTHON or "python3", "-c", FETCH],
    "curl": ["curl", "-sS", "--resolve", "server.test:443:203.0.113.1", URL],
    "wget": ["wget", "-qO-", "--header=Host: server.test", URL],
    "node": ["node", "-e", NODE],
    "openssl": [
        "sh",
        "-c",
        "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | " + " ".join(OPENSSL) + " 2>/dev/null | tail -1",
    ],
}


@pytest.mark.parametrize("scrubbed", [False, True], ids=["variables", "no-variables"])
@pytest.mark.parametrize("client", ["python", "curl", "node", "openssl"])
def test_clients_trust_the_firewall(
    inside: Inside, server: ssl.SSLContext, client: str, scrubbed: bool
) -> None:
    program = "openssl" if client == "openssl" else CLIENTS[client][0]
    if not shutil.which(program, path=inside.environment["PATH"]):
        pytest.skip(f"{program} is not installed where every user can run it")
    if client == "node" and scrubbed:
        pytest.skip("node carries its own list and knows of others by its variable alone")
    prefix = ["env", "-i", f"PATH={inside.environment['PATH']}"] if scrubbed else []

    def serve(sandbox: Sandbox) -> None:
        threading.Thread(target=answer_once, args=(sandbox, server), daemon=True).start()

    result = inside.run(*prefix, *CLIENTS[client], serve=serve)
    assert result.output.strip().endswith("trusted")


def test_without_its_authority_the_firewall_is_not_believed(
    inside: Inside, server: ssl.SSLContext, tmp_path: Path
) -> None:
    other = Authority.ensure(tmp_path / "another").pem

    def serve(sandbox: Sandbox) -> None:
        threading.Thread(target=answer_once, args=(sandbox, server), daemon=True).start()

    result = inside.run(*CLIENTS["python"], serve=serve, ca_pem=other)
    assert "CERTIFICATE_VERIFY_FAILED" in result.output


def test_a_private_bundle_is_merged(inside: Inside, tmp_path: Path) -> None:
    private = Authority.ensure(tmp_path / "private").pem
    bundle = inside.directory / "private.pem"
    bundle.write_bytes(b"# a comment\n" + private)
    inside.environment["REQUESTS_CA_BUNDLE"] = str(bundle)
    merged = inside.run("sh", "-c", "cat $REQUESTS_CA_BUNDLE").output.encode()
    assert private.strip() in merged
    assert inside.ca_pem.strip() in merged
    assert b"a comment" not in merged


def test_the_hosts_own_trust_is_as_before(inside: Inside) -> None:
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if not bundle.exists():
        pytest.skip("this machine keeps its bundle elsewhere")
    before = bundle.read_bytes()
    listed = sorted(Path("/etc/ssl/certs").iterdir())
    count = inside.run("sh", "-c", f"grep -c BEGIN {bundle}; ls /etc/ssl/certs | wc -l").output
    assert [int(each) for each in count.split()] == [before.count(b"BEGIN") + 1, len(listed) + 1]
    assert bundle.read_bytes() == before
    assert sorted(Path("/etc/ssl/certs").iterdir()) == listed


def test_a_certificate_that_is_none_stops_the_launch(inside: Inside) -> None:
    with pytest.raises(Exception, match="CA cannot be trusted inside"):
        inside.run("true", ca_pem=b"no certificate")
