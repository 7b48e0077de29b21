"""Both directions together: Noise by its lengths, random bytes on both sides."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import Conversation
from firewall.protocols.flights import Flights
from firewall.requests import Direction, Finding

RANDOM = random.Random(4)
KEY, ANSWER, AFTER = (RANDOM.randbytes(size) for size in (64, 234, 60))

type Flight = tuple[Direction, bytes]

NOISE: list[Flight] = [("sent", KEY), ("received", ANSWER), ("sent", AFTER)]


def flights(parts: list[Flight], size: int = 1 << 16) -> list[Finding]:
    watching = Flights()
    found: list[Finding] = []
    for direction, data in parts:
        for at in range(0, len(data), size):
            found += watching.feed(direction, data[at : at + size])
    return found


@pytest.mark.parametrize("size", [1 << 16, 7, 1])
def test_stratum_v2_noise(size: int) -> None:
    suspicious, noise = flights(NOISE, size)
    assert (suspicious.name, suspicious.confidence) == ("random-stream", "suspicious")
    assert (noise.kind, noise.name, noise.confidence) == ("mining", "stratum-v2", "likely")
    assert noise.evidence == "Noise handshake: 64 random bytes answered by 234"
    assert noise.where == "first flight of each side"


@pytest.mark.parametrize(
    "parts",
    [
        [("sent", KEY + b"x"), ("received", ANSWER), ("sent", AFTER)],
        [("sent", KEY), ("received", ANSWER + b"x"), ("sent", AFTER)],
        [("sent", KEY), ("received", ANSWER[:200]), ("sent", AFTER), ("received", ANSWER[200:])],
    ],
    ids=["BIP 324 garbage", "longer answer", "cut answer"],
)
def test_other_random_streams_are_only_suspicious(parts: list[Flight]) -> None:
    (finding,) = flights(parts)
    assert (finding.kind, finding.confidence) == ("tunnel", "suspicious")
    assert "BIP 324" in finding.evidence


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + RANDOM.randbytes(32)

QUIET: list[list[Flight]] = [
    [("sent", b"GET / HTTP/1.1\r\n" * 9), ("received", b"HTTP/1.1 200 OK\r\n" * 9)],
    [("received", ANSWER), ("sent", KEY), ("received", ANSWER)],
    [("sent", HELLO + RANDOM.randbytes(99)), ("received", RANDOM.randbytes(99))],
    [("sent", bytes(64)), ("received", bytes(234)), ("sent", AFTER)],
    [("sent", KEY), ("received", b"220 mail.example ESMTP " * 9), ("sent", AFTER)],
    [("sent", KEY), ("received", ANSWER[:40])],
]


@pytest.mark.parametrize("parts", QUIET)
def test_quiet(parts: list[Flight]) -> None:
    assert flights(parts) == []


@given(
    st.lists(st.tuples(st.sampled_from(["sent", "received"]), st.binary(max_size=99)), max_size=8),
    st.integers(1, 30),
)
def test_whole_equals_pieces(parts: list[Flight], size: int) -> None:
    assert flights(parts, size) == flights(parts)


def test_a_conversation_has_both_sides_and_what_is_between() -> None:
    talk = Conversation("tcp stream")
    client, server = talk.side("sent"), talk.side("received")
    assert client.feed(KEY) == ()
    assert [each.name for each in server.feed(ANSWER)] == ["random-stream"]
    assert [each.name for each in client.feed(AFTER)] == ["stratum-v2"]
    (late,) = server.feed(b'\n{"id":null,"method":"mining.notify","params":[]}\n')
    assert late.where == "server bytes 235-282"


AGREEMENTS: dict[str, list[Flight]] = {
    "CONNECT": [
        ("sent", b"CONNECT p:1 HTTP/1.1\r\nHost: p:1\r\n\r\n"),
        ("received", b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
    "SOCKS": [
        ("sent", b"\x05\x01\x00"),
        ("received", b"\x05\x00"),
        ("sent", b"\x05\x01\x00\x03\x01a\x00\x50"),
        ("received", b"\x05\x00\x00\x01\0\0\0\0\0\0"),
    ],
}


@pytest.mark.parametrize("name", AGREEMENTS)
@pytest.mark.parametrize("size", [1 << 16, 7, 1])
def test_random_bytes_inside_what_was_agreed_are_paired_too(name: str, size: int) -> None:
    def told(parts: list[Flight]) -> list[tuple[str, str]]:
        talk = Conversation("tcp stream")
        return [
            (each.name, each.confidence)
            for direction, data in parts
            for at in range(0, len(data), size)
            for each in talk.feed(direction, data[at : at + size])
            if each.name in ("random-stream", "stratum-v2")
        ]

    both = [("random-stream", "suspicious"), ("stratum-v2", "likely")]
    assert told(AGREEMENTS[name] + NOISE) == both
    twice = AGREEMENTS["CONNECT"] + AGREEMENTS[name]
    assert told(twice + NOISE) == both
    assert told(AGREEMENTS[name] + [("sent", KEY), ("received", b"no\n" * 78)]) == []
