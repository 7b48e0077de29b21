"""Fragments become the packet that they were, in any order, within bounds."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.captures import report_capture
from firewall.protocols.captures.fragments import Fragments
from tests.unit.protocols.captures.wire import conversation, pcap
from tests.unit.protocols.samples import SUBSCRIBE

PACKETS = {
    4: conversation([("sent", SUBSCRIBE)]),
    6: conversation(
        [("sent", SUBSCRIBE)], client=("2001:db8::1", 40000), server=("2001:db8::2", 3333)
    ),
}


def cut(packet: bytes, size: int = 24, number: int = 7) -> list[bytes]:
    """The packet's fragments, of `size` bytes each, a multiple of eight."""
    old = packet[0] >> 4 == 4
    data = packet[20 if old else 40 :]
    pieces = []
    for at in range(0, len(data), size):
        piece, more = data[at : at + size], at + size < len(data)
        if old:
            place = (at // 8 | more << 13).to_bytes(2)
            length = (20 + len(piece)).to_bytes(2)
            head = packet[:2] + length + number.to_bytes(2) + place + packet[8:20]
        else:
            header = packet[6:7] + b"\0" + (at | more).to_bytes(2) + number.to_bytes(4)
            head = packet[:4] + (8 + len(piece)).to_bytes(2) + b"\x2c" + packet[7:40] + header
        pieces.append(head + piece)
    return pieces


@pytest.mark.parametrize("version", [4, 6])
@given(shuffler=st.randoms(use_true_random=False), size=st.sampled_from([8, 24, 64]))
def test_in_any_order(version: int, shuffler: random.Random, size: int) -> None:
    *handshake, packet = PACKETS[version]
    pieces = cut(packet, size)
    shuffler.shuffle(pieces)
    (report,) = report_capture(pcap([*handshake, *pieces]))
    assert [(each.name, each.where) for each in report.findings] == [
        ("stratum", f"client bytes 0-{len(SUBSCRIBE) - 2}")
    ]


@pytest.mark.parametrize("version", [4, 6])
def test_a_missing_one_leaves_them_apart(version: int) -> None:
    first, *_, last = cut(PACKETS[version][-1])
    fragments = Fragments()
    assert [fragments.join(each) for each in (last, first, last)] == [last, first, last]


def test_what_waits_is_bounded() -> None:
    fragments = Fragments()
    first, *rest = cut(PACKETS[4][-1])
    fragments.join(first)
    for number in range(8, 100):
        fragments.join(cut(PACKETS[4][-1], number=number)[0])
    assert [fragments.join(each) for each in rest] == rest


@given(st.lists(st.binary(max_size=60) | st.sampled_from(cut(PACKETS[6][-1])), max_size=5))
def test_raises_on_nothing(bodies: list[bytes]) -> None:
    fragments = Fragments()
    for body in bodies:
        fragments.join(body)
        fragments.join(b"\x45" + body)
        fragments.join(b"\x60" + body)
