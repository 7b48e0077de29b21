"""First datagrams, named."""

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import identify_datagram
from tests.unit.protocols.tunnels.test_openvpn import PLAIN

QUIC = b"\xc3\0\0\0\1\x08" + bytes(range(8)) + bytes(1186)

NAMED = [
    ("quic", QUIC),
    ("quic", b"\xd0\x6b\x33\x43\xcf\x08" + bytes(1194)),
    ("quic", b"\xc0Q050\x08" + bytes(1194)),
    ("stun", b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)),
    ("dtls", b"\x16\xfe\xfd" + bytes(8) + b"\0\x50\x01" + bytes(80)),
    ("dns", dns.message.make_query("a.example", "A", id=1).to_wire()),
    ("unknown", b"hello"),
    ("unknown", b""),
    ("unknown", b"\1\0\0\0" + bytes(143)),
    ("unknown", b"\xc3\0\0\0\7\x08" + bytes(1194)),
    ("unknown", b"TS\xf0\x9f\x92\xac"),
]


@pytest.mark.parametrize(("protocol", "data"), NAMED)
def test_names(protocol: str, data: bytes) -> None:
    identity = identify_datagram(data)
    assert (identity.protocol, identity.findings) == (protocol, ())


FOUND = [
    (b"\1\0\0\0" + bytes(144), "wireguard", "wireguard", "initiation of 148 bytes", "certain"),
    (b"\2\0\0\0" + bytes(88), "wireguard", "wireguard", "response of 92 bytes", "certain"),
    (b"\4\0\0\0" + bytes(92), "wireguard", "wireguard", "data of 96 bytes", "likely"),
    (PLAIN, "openvpn", "openvpn", "opcode 7", "certain"),
    (b"TS\xf0\x9f\x92\xac" + bytes(60), "unknown", "tailscale", "disco", "certain"),
]


@pytest.mark.parametrize(("data", "protocol", "name", "evidence", "confidence"), FOUND)
def test_tunnels(data: bytes, protocol: str, name: str, evidence: str, confidence: str) -> None:
    identity = identify_datagram(data)
    assert identity.protocol == protocol
    (finding,) = identity.findings
    assert (finding.kind, finding.name, finding.confidence) == ("tunnel", name, confidence)
    assert evidence in finding.evidence
    assert finding.where == "first datagram"


def test_ethereum_discovery() -> None:
    ping = bytes(96) + b"\1\1" + b"\xd0" + bytes(20)
    (finding,) = identify_datagram(ping).findings
    assert (finding.kind, finding.name, finding.confidence) == ("mining", "ethereum-p2p", "likely")
    for other in (ping[:98], bytes(96) + b"\2" + ping[97:], bytes(97) + b"\7" + ping[98:]):
        assert identify_datagram(other).findings == ()


@given(st.binary(max_size=300))
def test_raises_on_nothing(data: bytes) -> None:
    assert len(identify_datagram(data).findings) <= 1
