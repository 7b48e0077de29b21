"""SOCKS: recognised, and served up to the target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import identify
from firewall.protocols.socks import (
    Event,
    Refusal,
    Reply,
    Send,
    Socks5Server,
    Target,
    answer,
)

GREETING = b"\x05\x01\x00"
ACCEPTED = Send(b"\x05\x00")


def request(address: bytes, port: int = 443, command: int = 1) -> bytes:
    return bytes([5, command, 0]) + address + port.to_bytes(2)


def domain(name: bytes) -> bytes:
    return b"\x03" + bytes([len(name)]) + name


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (domain(b"Api.Example."), "api.example"),
        (b"\x01\xc0\x00\x02\x01", "192.0.2.1"),
        (b"\x04" + bytes(15) + b"\x01", "::1"),
        (domain(b"192.0.2.1"), "192.0.2.1"),
    ],
)
def test_serves_a_target(address: bytes, host: str) -> None:
    server = Socks5Server()
    assert server.feed(GREETING) == [ACCEPTED]
    assert server.feed(request(address) + b"early") == [Target(host, 443)]
    assert server.rest == b"early"


REFUSED = {
    "version 4": (b"\x04\x01\x00\x50", b"", "version 4"),
    "password only": (b"\x05\x01\x02", b"\x05\xff", "authenticate"),
    "no methods": (b"\x05\x00", b"\x05\xff", "authenticate"),
    "bind": (
        GREETING + request(domain(b"a"), command=2),
        answer(Reply.COMMAND_NOT_SUPPORTED),
        "command 2",
    ),
    "address type": (GREETING + request(b"\x02ab"), answer(Reply.ADDRESS_NOT_SUPPORTED), "type 2"),
    "port 0": (GREETING + request(domain(b"a"), 0), answer(Reply.GENERAL_FAILURE), "port 0"),
    "empty host": (
        GREETING + request(domain(b"")),
        answer(Reply.ADDRESS_NOT_SUPPORTED),
        "no host",
    ),
    "host with NUL": (
        GREETING + request(domain(b"a\0b")),
        answer(Reply.ADDRESS_NOT_SUPPORTED),
        "no host",
    ),
    "short spelling": (
        GREETING + request(domain(b"127.1")),
        answer(Reply.ADDRESS_NOT_SUPPORTED),
        "no IPv4 address",
    ),
}


@pytest.mark.parametrize(("data", "answer", "reason"), list(REFUSED.values()), ids=list(REFUSED))
def test_refuses(data: bytes, answer: bytes, reason: str) -> None:
    server = Socks5Server()
    last = server.feed(data)[-1]
    assert isinstance(last, Refusal)
    assert last.data == answer
    assert reason in last.reason
    assert server.feed(b"more") == []


def test_replies() -> None:
    assert answer(Reply.SUCCEEDED) == b"\x05\x00\x00\x01" + bytes(6)
    assert answer(Reply.GENERAL_FAILURE) == b"\x05\x01\x00\x01" + bytes(6)


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(lambda d: GREETING + d)))
def test_whole_equals_byte_by_byte(data: bytes) -> None:
    whole, pieces = Socks5Server(), Socks5Server()
    events: list[Event] = []
    for byte in data:
        events += pieces.feed(bytes([byte]))
    assert whole.feed(data) == events
    assert whole.rest == pieces.rest


@pytest.mark.parametrize(
    ("data", "evidence"),
    [
        (GREETING, "SOCKS5 client greeting"),
        (b"\x05\x03\x00\x01\x02", "SOCKS5 client greeting"),
        (b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00", "SOCKS4 client greeting"),
        (b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00a.example\x00", "SOCKS4 client greeting"),
    ],
)
def test_recognises(data: bytes, evidence: str) -> None:
    identity = identify(data)
    assert identity is not None
    assert identity.protocol == "socks"
    assert [finding.evidence for finding in identity.findings] == [evidence]
    assert identify(data[:-1]) is None


@pytest.mark.parametrize(
    "data",
    [b"\x05\x00\x0b\x03", b"\x05\x02\x00\x00", b"\x05\x01\x40", b"\x04\x09", b"\x04\x01\0\0"],
)
def test_look_alikes_are_unknown(data: bytes) -> None:
    identity = identify(data)
    assert identity is not None
    assert identity.protocol == "unknown"
