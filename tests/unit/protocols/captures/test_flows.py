"""Segments into flows: order, repeats, losses, and who is the client."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.captures.files import Packet
from firewall.protocols.captures.flows import Flow, Flows, Piece
from firewall.protocols.captures.packets import read_segment
from tests.unit.protocols.captures.wire import CLIENT, SERVER, SYN, conversation, tcp, udp


def flow(packets: list[bytes]) -> list[Piece]:
    flows = Flows()
    pieces: list[Piece] = []
    for number, each in enumerate(packets):
        segment = read_segment(Packet(float(number), 101, each))
        assert segment is not None
        pieces += flows.feed(segment)
    return pieces + list(flows.rest())


def said(pieces: list[Piece], direction: str) -> bytes:
    return b"".join(each.data for each in pieces if each.direction == direction)


DATA = bytes(range(256))


@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_any_order_and_repeats_give_the_same(shuffler: random.Random, size: int) -> None:
    packets = conversation([("sent", DATA), ("received", DATA[::-1])], size=size)
    rest = packets[2:] + shuffler.choices(packets[2:], k=5)
    shuffler.shuffle(rest)
    pieces = flow(packets[:2] + rest)
    assert said(pieces, "sent") == DATA
    assert said(pieces, "received") == DATA[::-1]


def test_overlaps_are_told_once() -> None:
    parts = [tcp(CLIENT, SERVER, at, DATA[at : at + 9]) for at in range(0, 40, 4)]
    assert said(flow([tcp(CLIENT, SERVER, 1 << 32, flags=SYN), *parts]), "sent") == DATA[1:45]


def test_a_lost_segment_leaves_a_gap() -> None:
    packets = conversation([("sent", DATA)], size=100)
    del packets[3]
    assert said(flow(packets), "sent") == DATA[:100] + DATA[200:]


def test_what_waits_is_bounded() -> None:
    flows = Flows()
    start = tcp(CLIENT, SERVER, 0, flags=SYN)
    for packet in (start, *(tcp(CLIENT, SERVER, 9 + 2 * at, b"x") for at in range(5000))):
        segment = read_segment(Packet(0.0, 101, packet))
        assert segment is not None
        for piece in flows.feed(segment):
            assert len(piece.flow.halves["sent"].early) <= 257


def ends(pieces: list[Piece]) -> set[tuple[str, int]]:
    return {each.flow.client for each in pieces}


def test_who_is_the_client() -> None:
    assert ends(flow(conversation([("received", b"SSH-")]))) == {CLIENT}
    assert ends(flow(conversation([("received", b"SSH-")])[1:])) == {CLIENT}
    assert ends(flow([tcp(SERVER, CLIENT, 5, b"middle")])) == {CLIENT}
    assert ends(flow([tcp(CLIENT, SERVER, 5, b"middle")])) == {CLIENT}
    assert ends(flow([udp(SERVER, CLIENT, b"first")])) == {SERVER}


def test_ports_used_again_are_another_flow() -> None:
    again = [tcp(CLIENT, SERVER, 7777, flags=SYN), tcp(CLIENT, SERVER, 7778, b"two")]
    pieces = flow([*conversation([("sent", b"one")]), *again])
    assert [each.data for each in pieces] == [b"one", b"two"]
    assert pieces[0].flow is not pieces[1].flow


def test_a_repeated_syn_is_not() -> None:
    packets = conversation([("sent", b"one")])
    pieces = flow([packets[0], *packets])
    assert [each.data for each in pieces] == [b"one"]


@pytest.mark.parametrize("sent", [b"", b"a"])
def test_datagrams_are_pieces(sent: bytes) -> None:
    pieces = flow([udp(CLIENT, SERVER, sent), udp(SERVER, CLIENT, b"b")])
    assert [each.data for each in pieces] == [each for each in (sent, b"b") if each]
    assert isinstance(pieces[0].flow, Flow)
