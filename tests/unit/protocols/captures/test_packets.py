"""Segments out of packets, behind every kind of link."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.captures.files import Packet
from firewall.protocols.captures.packets import read_segment
from tests.unit.protocols.captures.wire import CLIENT, SERVER, SYN, ip, tcp, udp

FOUR = tcp(CLIENT, SERVER, 7, b"data")
SIX = tcp(("fd00::2", 1), ("2001:db8::1", 2), 7, b"data")

LINKS = {
    "raw": (101, FOUR),
    "raw IPv6": (101, SIX),
    "ethernet": (1, bytes(12) + b"\x08\x00" + FOUR),
    "ethernet, padded": (1, bytes(12) + b"\x08\x00" + FOUR + bytes(20)),
    "ethernet, IPv6": (1, bytes(12) + b"\x86\xdd" + SIX),
    "two VLAN tags": (1, bytes(12) + b"\x88\xa8\0\1\x81\0\0\2\x08\x00" + FOUR),
    "loopback": (0, b"\2\0\0\0" + FOUR),
    "cooked": (113, bytes(14) + b"\x08\x00" + FOUR),
    "cooked 2": (276, b"\x08\x00" + bytes(18) + FOUR),
    "offloaded": (101, FOUR[:2] + b"\0\0" + FOUR[4:]),
    "IPv6 extensions": (
        101,
        SIX[:4] + (len(SIX) - 32).to_bytes(2) + b"\0" + SIX[7:40] + b"\6\0" + bytes(6) + SIX[40:],
    ),
}


@pytest.mark.parametrize(("link", "data"), LINKS.values(), ids=LINKS.keys())
def test_links(link: int, data: bytes) -> None:
    segment = read_segment(Packet(1.0, link, data))
    assert segment is not None
    assert (segment.transport, segment.data, segment.sequence) == ("tcp", b"data", 7)


def test_what_a_segment_says() -> None:
    segment = read_segment(Packet(1.5, 101, tcp(CLIENT, SERVER, 9, flags=SYN)))
    assert segment is not None
    assert (segment.time, segment.source, segment.target) == (1.5, CLIENT, SERVER)
    assert (segment.syn, segment.ack, segment.data) == (True, False, b"")
    datagram = read_segment(Packet(0.0, 101, udp(CLIENT, SERVER, b"data")))
    assert datagram is not None
    assert (datagram.transport, datagram.data) == ("udp", b"data")


@pytest.mark.parametrize(
    ("link", "data"),
    [
        (101, b""),
        (101, FOUR[:30]),
        (101, FOUR[:6] + b"\0\1" + FOUR[8:]),  # a later fragment
        (101, ip("10.0.0.2", "10.0.0.3", 1, bytes(40))),  # ICMP
        (101, b"\x41" + FOUR[1:]),
        (1, bytes(12) + b"\x08\x06" + bytes(40)),  # ARP
        (105, FOUR),
    ],
)
def test_no_segment(link: int, data: bytes) -> None:
    assert read_segment(Packet(0.0, link, data)) is None


@given(st.sampled_from([0, 1, 12, 101, 113, 276, 999]), st.binary(max_size=120))
def test_raises_on_nothing(link: int, data: bytes) -> None:
    read_segment(Packet(0.0, link, data))
    read_segment(Packet(0.0, link, b"\x60" + data))
