"""Fingerprints of a ClientHello."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.hello import ClientHello, fingerprints, ja3, ja4
from firewall.protocols.identity import More, ProtocolError
from firewall.protocols.tls import parse_client_hello
from tests.unit.protocols.samples import alpn, client_hello, extension, server_name


def numbers(text: str) -> bytes:
    return bytes.fromhex(text.replace(",", ""))


def listed(text: str, size: int = 2) -> bytes:
    data = numbers(text)
    return len(data).to_bytes(size) + data


# FoxIO-LLC/ja4 technical_details/JA4.md: the example that is worked through there.
CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"
ORDER = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"


def example() -> ClientHello:
    extensions = {int(each, 16): b"" for each in ORDER.split(",")}
    extensions[13] = listed(SIGNATURES)
    extensions[43] = listed("7a7a,0304,0303", 1)
    return ClientHello(
        "a.example", ("h2", "http/1.1"), 0, 0x0303, numbers("0a0a," + CIPHERS), extensions
    )


def test_ja4_of_the_worked_example() -> None:
    assert ja4(example()) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_ja4_of_little() -> None:
    hello = ClientHello(None, (), 0, 0x0301, b"", {})
    assert ja4(hello) == "t10i000000_000000000000_000000000000"
    assert ja4(replace(hello, alpn=("\\xabc!",)))[8:10] == "51"


def test_ja3_is_what_its_authors_say() -> None:
    hello = replace(
        example(),
        ciphers=numbers("1a1a,1301,c02b"),
        extensions={0x2A2A: b"", 0: b"", 10: listed("3a3a,001d,0017"), 11: b"\1\0"},
    )
    text = "771,4865-49195,0-10-11,29-23,0"
    assert ja3(hello) == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("named", [True, False])
def test_of_wire_bytes(named: bool) -> None:
    extensions = (server_name(b"a.example") if named else b"") + alpn(b"h2")
    hello = parse_client_hello(client_hello(extensions + extension(10, listed("001d"))))
    assert isinstance(hello, ClientHello)
    assert ja4(hello).startswith("t12d0103h2_" if named else "t12i0102h2_")
    assert len(ja3(hello)) == 32


@given(st.binary(max_size=60))
def test_raises_on_nothing(data: bytes) -> None:
    for kind in (10, 11, 13, 43):
        try:
            hello = parse_client_hello(client_hello(extension(kind, data)))
        except ProtocolError:
            continue
        assert not isinstance(hello, More)
        assert len(ja4(hello)) == 36
        assert len(ja3(hello)) == 32


def test_fingerprints_are_both_by_name_whatever_else_the_hello_says() -> None:
    hello = example()
    other = replace(hello, sni="b.example", extensions={**hello.extensions, 51: b"another key"})
    assert fingerprints(hello) == {"ja3": ja3(hello), "ja4": ja4(hello)}
    assert fingerprints(other) == fingerprints(hello)
