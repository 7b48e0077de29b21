"""The ClientHello: names and protocols, fragments, and malformed ones."""

import ssl

import pytest

from firewall.protocols import Identity, ProtocolError, identify
from firewall.protocols.identity import MORE
from firewall.protocols.tls import parse_client_hello
from tests.unit.protocols.samples import alpn, client_hello, extension, server_name


def openssl_hello(name: str | None, *protocols: str) -> bytes:
    """The first flight of this machine's own OpenSSL."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def test_reads_what_openssl_sends() -> None:
    hello = openssl_hello("Api.Example.COM", "h2", "http/1.1")
    assert identify(hello) == Identity("tls", sni="api.example.com", alpn=("h2", "http/1.1"))
    assert identify(openssl_hello(None)) == Identity("tls")


def test_hello_in_one_byte_records() -> None:
    hello = client_hello(server_name(b"a.example."), record=1)
    assert identify(hello) == Identity("tls", sni="a.example")
    assert identify(hello[:-1]) is None


def test_grease_is_no_protocol() -> None:
    hello = client_hello(extension(0x0A0A, b"") + alpn(b"\x1a\x1a", b"h2"))
    assert identify(hello) == Identity("tls", alpn=("h2",))


def test_hello_without_extensions() -> None:
    hello = client_hello()
    short = hello[:3] + (len(hello) - 7).to_bytes(2) + b"\x01" + (len(hello) - 11).to_bytes(3)
    assert identify(short + hello[9:-2]) == Identity("tls")


def test_incomplete_hello_is_unknown_when_final() -> None:
    assert identify(client_hello()[:-1], final=True) == Identity("unknown")


def test_tunnel_servers_are_named() -> None:
    identity = identify(client_hello(server_name(b"h2.cftunnel.com")))
    assert identity is not None
    (finding,) = identity.findings
    assert (finding.kind, finding.name) == ("tunnel", "cloudflared")
    assert finding.evidence == "TLS server name h2.cftunnel.com"
    assert identify(client_hello(server_name(b"notcftunnel.com"))) == Identity(
        "tls", sni="notcftunnel.com"
    )


MALFORMED = {
    "extension cut short": (client_hello(extension(10, b"xy")[:-1]), "end inside one"),
    "extension twice": (client_hello(extension(10, b"") * 2), "comes twice"),
    "two names": (client_hello(extension(0, b"\x00\x08" + b"\x00\x00\x01a" * 2)), "exactly one"),
    "empty name": (client_hello(server_name(b"")), "is no host"),
    "name with NUL": (client_hello(server_name(b"a\x00.example")), "is no host"),
    "name in UTF-8": (client_hello(server_name("bücher.example".encode())), "is no host"),
    "empty protocol": (client_hello(alpn(b"")), "ALPN"),
    "odd ciphers": (client_hello(ciphers=b"\x13"), "fixed fields"),
    "server hello": (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "no ClientHello"),
    "huge": (b"\x16\x03\x01\x40\x00\x01\xff\xff\xff", "too long"),
    "empty record": (b"\x16\x03\x01\x00\x00", "of this world"),
}


@pytest.mark.parametrize(("data", "reason"), list(MALFORMED.values()), ids=list(MALFORMED))
def test_malformed_is_not_tls(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        parse_client_hello(data)
    assert identify(data) == Identity("unknown")


def test_every_prefix_wants_more() -> None:
    hello = openssl_hello("a.example")
    assert all(parse_client_hello(hello[:size]) is MORE for size in range(len(hello)))


@pytest.mark.parametrize(
    ("name", "protocols", "suspicious"),
    [
        (b"www.qd4wkz7mtbxv3.com", (), True),
        (b"www.qd4wkz7mtbxv3.com", (b"h2",), False),
        (b"www.4everyoneonline.com", (), False),
        (b"www.qdwkzmtbxv.com", (), False),
        (b"www.web24.com", (), False),
        (b"qd4wkz7mtbxv3.com", (), False),
    ],
)
def test_a_made_up_name_is_suspicious(
    name: bytes, protocols: tuple[bytes, ...], suspicious: bool
) -> None:
    offered = alpn(*protocols) if protocols else b""
    identity = identify(client_hello(server_name(name) + offered))
    assert identity is not None
    found = [(each.name, each.confidence) for each in identity.findings]
    assert found == ([("tor", "suspicious")] if suspicious else [])
