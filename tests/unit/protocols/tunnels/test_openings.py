"""Openings of tunnels, and of what looks like them."""

import hashlib

import pytest

from firewall.protocols import Watch, identify
from tests.unit.protocols.tunnels.test_openvpn import PLAIN

DIGEST = hashlib.sha256(b"service").digest()
SMUX = b"\x01\x00\x00\x00\x03\x00\x00\x00"

OPENINGS = [
    (b"o\0\0\0\0\0\0\0\x3c{", "frp", "login message"),
    (b"FRP\0\x02\r\n", "frp", "version 2 greeting"),
    (b"\x17\x16\x03\x01\x02\x00", "frp", "byte 0x17"),
    (b"\0\1\0\1\0\0\0\1\0\4\0\0", "yamux", "first stream"),
    (b"\0\2\0\1\0\0\0\0", "yamux", "ping"),
    (b"\0\0\0\0\1" + DIGEST, "rathole", "hello"),
    (b"\1\0\0\0\1" + DIGEST, "rathole", "hello"),
    (SMUX + b"\x01\x02\x05\x00\x03\x00\x00\x00hello", "smux", "first stream"),
    (len(PLAIN).to_bytes(2) + PLAIN, "openvpn", "hard reset"),
    (hashlib.sha224(b"p").hexdigest().encode() + b"\r\n\x01\x03\x01a\0\x50", "trojan", "request"),
]


@pytest.mark.parametrize(("data", "name", "evidence"), OPENINGS)
def test_recognises(data: bytes, name: str, evidence: str) -> None:
    identity = identify(data)
    assert identity is not None
    assert identity.protocol == "unknown"
    (finding,) = identity.findings
    assert (finding.kind, finding.name) == ("tunnel", name)
    assert evidence in finding.evidence
    assert finding.where.startswith("client bytes 0-")


FROM_SERVERS = [
    (b"\1\0\0\0\x28DERP\xf0\x9f\x94\x91" + bytes(32), "derp"),
    (b"\0\1\0\1\0\0\0\1\0\4\0\0", "yamux"),
]


@pytest.mark.parametrize(("data", "name"), FROM_SERVERS)
@pytest.mark.parametrize("carrier", ["tcp stream", "tls stream"])
def test_servers_may_begin(data: bytes, name: str, carrier: str) -> None:
    """ligolo-ng's agent waits for its proxy to open streams."""
    (finding,) = Watch(carrier, "received").feed(data)
    assert (finding.kind, finding.name) == ("tunnel", name)
    assert finding.where.startswith("server bytes 0-")


def test_rathole_with_a_poor_digest_is_only_suspicious() -> None:
    identity = identify(b"\0\0\0\0\1" + bytes(32))
    assert identity is not None
    (finding,) = identity.findings
    assert (finding.name, finding.confidence) == ("rathole", "suspicious")


LOOK_ALIKES = [
    b"\0\x01\0\0\0\x06\x01\x03",  # Modbus
    b"\0\x1d\x12\x34\x01\0",  # DNS over TCP
    b"\0\0\0\x2f\xfeSMB",
    b"o\0\0\1",
    SMUX + b"\x01\x02\x05\x00\x05\x00\x00\x00hello",
    SMUX + bytes(8),
    b"\0\x0e\x38" + bytes(13),
    b"deadbeef LOGIN\r\n",
]


@pytest.mark.parametrize("data", LOOK_ALIKES)
def test_look_alikes(data: bytes) -> None:
    identity = identify(data)
    assert identity is not None
    assert (identity.protocol, identity.findings) == ("unknown", ())
