"""A PROXY header hides nothing: what is behind it is read from its start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.identity import MORE
from firewall.protocols.proxyheader import header_end
from tests.unit.protocols.samples import SUBSCRIBE, watch

LINE = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 3333\r\n"
BINARY = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)
LOCAL = BINARY[:12] + b"\x20\0\0\0"
SOCKS = b"\x05\x01\x00\x05\x01\x00\x03\x01a\x00\x50"


@pytest.mark.parametrize("header", [LINE, BINARY, LOCAL, b"PROXY UNKNOWN\r\n"])
def test_where_it_ends(header: bytes) -> None:
    assert all(header_end(header[:size]) is MORE for size in range(len(header)))
    assert header_end(header + SUBSCRIBE) == len(header)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 " + b"x" * 200,
        b"PROXY / HTTP/1.1\r\n\r\n",
        b"\r\n\r\n{}",
    ],
)
def test_none(data: bytes) -> None:
    assert header_end(data) is None


@pytest.mark.parametrize("header", [LINE, BINARY, LOCAL])
@pytest.mark.parametrize("size", [1, 5, 1 << 16])
def test_what_is_behind_is_read(header: bytes, size: int) -> None:
    (found,) = watch(header + SUBSCRIBE, size)
    start, end = len(header), len(header + SUBSCRIBE) - 1
    assert (found.name, found.confidence, found.where) == (
        "stratum", "certain", f"client bytes {start}-{end - 1}",
    )  # fmt: skip
    assert {each.name for each in watch(header + SOCKS, size)} == {"socks"}


@given(st.sampled_from([LINE, BINARY, LOCAL]), st.binary(max_size=40), st.integers(0, 40))
def test_whole_as_byte_by_byte(header: bytes, behind: bytes, cut: int) -> None:
    data = header[: len(header) - cut % 3] + behind
    assert watch(data, 1) == watch(data, 1 << 16)
