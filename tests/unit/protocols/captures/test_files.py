"""Capture files of both formats, in both byte orders, whole and broken."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.captures import CaptureError, is_capture, read_packets
from tests.unit.protocols.captures.wire import block, pcap, pcapng

PACKETS = [b"one", b"two packets", b""]

FILES = {
    "pcap": pcap(PACKETS),
    "pcap, other order": pcap(PACKETS, order=">"),
    "pcap, nanoseconds": pcap(PACKETS, magic=0xA1B23C4D).replace(
        b"\x20\xa1\x07\0", b"\0\x65\xcd\x1d"
    ),
    "pcapng": pcapng(PACKETS),
    "pcapng, other order": pcapng(PACKETS, order=">"),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_reads(data: bytes) -> None:
    assert is_capture(data)
    packets = list(read_packets(data))
    assert [each.data for each in packets] == PACKETS
    assert [each.link for each in packets] == [101] * 3
    assert [round(each.time, 6) for each in packets] == [0.5, 1.5, 2.5]


def test_simple_packets_have_no_time() -> None:
    packets = list(read_packets(pcapng([b"four"], simple=True)))
    assert [(each.data, each.time) for each in packets] == [(b"four", 0.0)]


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_a_file_that_ends_early_ends_before_that(data: bytes) -> None:
    for size in range(4, len(data)):
        found = [each.data for each in read_packets(data[:size])]
        assert found == PACKETS[: len(found)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no magic number"),
        (b"GET / HTTP/1.1", "no magic number"),
        (pcap([])[:24] + bytes(8) + b"\xff" * 8, "a packet of 4294967295 bytes at byte 24"),
        (pcapng([]) + b"\6\0\0\0\7\0\0\0" + bytes(8), "a block of 7 bytes"),
        (block(0x0A0D0D0A, bytes(16)), "a section without a byte order at byte 0"),
    ],
)
def test_what_is_wrong(data: bytes, why: str) -> None:
    with pytest.raises(CaptureError, match=why):
        list(read_packets(data))


@given(
    st.sampled_from(sorted(FILES.values())),
    st.integers(0, 200),
    st.binary(max_size=8),
    st.booleans(),
)
def test_only_one_kind_of_error(data: bytes, at: int, change: bytes, cut: bool) -> None:
    broken = data[:at] + change + (b"" if cut else data[at + len(change) :])
    with contextlib.suppress(CaptureError):
        list(read_packets(broken))
