"""Openings of fixed shape."""

import pytest

from firewall.protocols import identify

OPENINGS = [
    (b"\xf9\xbe\xb4\xd9version\0" + b"\0" * 9, "mining", "bitcoin-p2p"),
    (b"\x01\x21\x01\x01\x01\x01\x01\x01", "mining", "monero-p2p"),
    (b"\0\0\0\x40\0\0\x00\x02\0\x02\0", "mining", "stratum-v2"),
    (b"JOB,me,LOW\n", "mining", "duino-coin"),
    (b"o\0\0\0\0\0\0\0\x3c{", "tunnel", "frp"),
    (b"FRP\0\x02\r\n", "tunnel", "frp"),
    (b"\0\1\0\1\0\0\0\1\0\4\0\0", "tunnel", "yamux"),
    (b"\0\2\0\1\0\0\0\0", "tunnel", "yamux"),
    (b"\0\0\0\0\1" + bytes(range(32)), "tunnel", "rathole"),
]


@pytest.mark.parametrize(("data", "kind", "name"), OPENINGS)
def test_recognises(data: bytes, kind: str, name: str) -> None:
    identity = identify(data)
    assert identity is not None
    assert identity.protocol == "unknown"
    assert [(finding.kind, finding.name) for finding in identity.findings] == [(kind, name)]
    assert identity.findings[0].where.startswith("client bytes 0-")


@pytest.mark.parametrize(
    "data",
    [
        b"\xf9\xbe\xb4\xd9verack\0\0",
        b"\0\x01\0\0\0\x06\x01\x03",  # Modbus
        b"\0\x1d\x12\x34\x01\0",  # DNS over TCP
        b"\0\0\0\x2f\xfeSMB",
        b"JOB,1,2\nrest",
        b"JOB," + b"x" * 300,
        b"o\0\0\1",
    ],
)
def test_look_alikes(data: bytes) -> None:
    identity = identify(data)
    assert identity is not None
    assert (identity.protocol, identity.findings) == ("unknown", ())
