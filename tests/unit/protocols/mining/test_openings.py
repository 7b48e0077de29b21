"""Openings of miners and coin nodes."""

import pytest

from firewall.protocols import Watch, identify
from tests.unit.protocols.mining.test_curve import BASE

PEERS = {"bitcoin-p2p", "monero-p2p"}
OPENINGS = [
    (b"\xf9\xbe\xb4\xd9version\0" + b"\0" * 9, "bitcoin-p2p", 12),
    (b"\xfb\xc0\xb6\xdbversion\0", "bitcoin-p2p", 12),
    (b"\x01\x21\x01\x01\x01\x01\x01\x01", "monero-p2p", 8),
    (b"\0\0\0\x40\0\0\x00\x02\0\x02\0", "stratum-v2", 11),
    (b"\x01\x9f\x04" + BASE + b"rest", "ethereum-p2p", 67),
    (b"JOB,me,LOW\n", "duino-coin", 11),
    (b"JOB,me,NET,key\r\n", "duino-coin", 16),
]


@pytest.mark.parametrize(("data", "name", "length"), OPENINGS)
def test_recognises(data: bytes, name: str, length: int) -> None:
    identity = identify(data)
    assert identity is not None
    assert identity.protocol == "unknown"
    (finding,) = identity.findings
    assert (finding.kind, finding.name, finding.confidence) == ("mining", name, "certain")
    assert finding.where == f"client bytes 0-{length - 1}"


@pytest.mark.parametrize("data", [data for data, name, _ in OPENINGS if name in PEERS])
def test_nodes_answer_alike(data: bytes) -> None:
    (finding,) = Watch("tcp stream", "received").feed(data)
    assert finding.kind == "mining"
    assert finding.where.startswith("server bytes 0-")


LOOK_ALIKES = [
    b"\xf9\xbe\xb4\xd9verack\0\0",
    b"\x01\x9f\x04" + bytes(range(64)),
    b"\x01\x03\x04" + BASE[:63] + b"\0",
    b"JOB,1,2\nrest",
    b"JOB," + b"x" * 300,
    b"JOBS,me,LOW\n",
]


@pytest.mark.parametrize("data", LOOK_ALIKES)
def test_look_alikes(data: bytes) -> None:
    identity = identify(data)
    assert identity is not None
    assert (identity.protocol, identity.findings) == ("unknown", ())
