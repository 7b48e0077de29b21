"""What a TLS server shows in clear: real handshakes of OpenSSL, cut anywhere, and garbled ones."""

import datetime
import ssl
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from firewall.protocols.captures import report_capture
from firewall.protocols.tlsserver import ServerFlight
from firewall.requests import Finding
from tests.unit.protocols.captures.wire import conversation, pcap
from tests.unit.protocols.samples import client_hello

KEY = ec.generate_private_key(ec.SECP256R1())
TODAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def certificate(subject: str, issuer: str, *names: str) -> bytes:
    """In PEM; both names as RFC 4514 writes them."""
    owner, signer = (x509.Name.from_rfc4514_string(each) for each in (subject, issuer))
    builder = x509.CertificateBuilder(
        signer, owner, KEY.public_key(), 7, TODAY, TODAY.replace(year=2030)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@cache
def flight(pem: bytes, version: ssl.TLSVersion) -> bytes:
    """What a server with this certificate says after a ClientHello."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        file = Path(folder, "both.pem")
        key = KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.write_bytes(key + pem)
        server.load_cert_chain(file)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.maximum_version = version
    hello, answer, unused = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    for context, reads, writes, serves in (
        (client, unused, hello, False),
        (server, hello, answer, True),
    ):
        with pytest.raises(ssl.SSLWantReadError):
            context.wrap_bio(reads, writes, server_side=serves).do_handshake()
    return answer.read()


def read(data: bytes, size: int = 1 << 20) -> tuple[ServerFlight, list[Finding]]:
    reading = ServerFlight()
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return reading, [finding for piece in pieces for finding in reading.feed(piece)]


@pytest.mark.parametrize("size", [1 << 20, 100, 1])
def test_a_certificate_in_clear(size: int) -> None:
    pem = certificate("CN=pool.example,O=Pool", "CN=pool.example,O=Pool", "pool.example", "*.b.c")
    reading, findings = read(flight(pem, ssl.TLSVersion.TLSv1_2), size)
    assert findings == []
    assert reading.finished
    seen = reading.certificate
    assert seen is not None
    assert (seen.subject, seen.self_signed, seen.chain) == ("CN=pool.example,O=Pool", True, 1)
    assert seen.names == ("pool.example", "*.b.c")


def test_of_tls_13_nothing_is_said() -> None:
    reading, findings = read(flight(certificate("O=ligolo", "O=ligolo"), ssl.TLSVersion.TLSv1_3))
    assert (reading.finished, reading.certificate, findings) == (True, None, [])


TOOLS = [
    (("", ""), "frp", "without any name"),
    (("O=ligolo", "O=ligolo", "ligolo"), "ligolo-ng", "of O=ligolo"),
    (("CN=www.q3nvk5xr7wd2.net", "CN=www.zt4bn6lgx2pk.com"), "tor", "look made up"),
]


@pytest.mark.parametrize(("shown", "tool", "why"), TOOLS, ids=[each[1] for each in TOOLS])
@pytest.mark.parametrize("size", [1 << 20, 3])
def test_certificates_that_tools_make(
    shown: tuple[str, ...], tool: str, why: str, size: int
) -> None:
    _, found = read(flight(certificate(*shown), ssl.TLSVersion.TLSv1_2), size)
    (finding,) = found
    assert (finding.kind, finding.name, finding.confidence) == ("tunnel", tool, "suspicious")
    assert why in finding.evidence
    assert finding.where == "TLS certificate of the server"


@pytest.mark.parametrize(
    "shown",
    [
        ("CN=a.example", "CN=Some CA,O=Somebody"),
        ("CN=localhost", "CN=localhost"),
        ("O=ligolo", "CN=ligolo"),
        ("CN=www.wordpress.net", "CN=www.wordpress.com"),
        ("CN=www.q3nvk5xr7wd2.net", "CN=www.q3nvk5xr7wd2.net"),
    ],
)
def test_other_certificates_are_no_finding(shown: tuple[str, str]) -> None:
    assert read(flight(certificate(*shown), ssl.TLSVersion.TLSv1_2))[1] == []


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"SSH-2.0-x\r\n",
        b"{",
        b"\x16\x04\x03",
        b"\x17\x03\x03\0\x10",
        b"\x16\x03\x03\xff\xff",
        b"\x16\x03\x03\0\0",
        b"\x15\0\0",
    ],
)
def test_a_server_that_speaks_no_tls(data: bytes) -> None:
    for size in (1, 99):
        reading, findings = read(data + bytes(99), size)
        assert [(each.kind, each.name, each.confidence) for each in findings] == [
            ("protocol-mismatch", "not-tls", "certain")
        ]
        assert reading.finished


def test_an_alert_ends_it() -> None:
    reading, findings = read(b"\x15\x03\x03\0\x02\x02\x28")
    assert (reading.finished, findings) == (True, [])


def test_what_never_ends_is_read_only_so_far() -> None:
    reading, findings = read((b"\x16\x03\x03\x3f\xff" + bytes(0x3FFF)) * 9, 1000)
    assert (reading.finished, findings) == (True, [])


@example(b"\0", 1, 174)  # a name in no known type of string
@given(st.binary(max_size=400), st.integers(1, 40), st.integers(0, 400))
def test_whole_equals_pieces_whatever_comes(noise: bytes, size: int, at: int) -> None:
    good = flight(certificate("O=ligolo", "O=ligolo"), ssl.TLSVersion.TLSv1_2)
    for data in (noise, b"\x16\x03\x03\0\x50" + noise, good[:at] + noise + good[at + len(noise) :]):
        assert read(data, size)[1] == read(data)[1]


def test_a_capture_tells_of_it() -> None:
    answer = flight(certificate("O=ligolo", "O=ligolo", "x.nanopool.org"), ssl.TLSVersion.TLSv1_2)
    (report,) = report_capture(
        pcap(conversation([("sent", client_hello()), ("received", answer)], size=500))
    )
    assert report.certificate is not None
    assert report.certificate.names == ("x.nanopool.org",)
    assert [each.name for each in report.findings] == ["ligolo-ng"]
