"""Hosts and authorities: one spelling, and a table of hostile ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import ProtocolError
from firewall.protocols.hosts import parse_host, split_authority


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.example:443", ("a.example", 443)),
        ("A.Example.:80", ("a.example", 80)),
        ("localhost:1", ("localhost", 1)),
        ("_dns.a_b.example:53", ("_dns.a_b.example", 53)),
        ("xn--bcher-kva.example:65535", ("xn--bcher-kva.example", 65535)),
        ("192.0.2.1:22", ("192.0.2.1", 22)),
        ("[2001:DB8:0:0::1]:443", ("2001:db8::1", 443)),
        ("[64:FF9B::1]:80", ("64:ff9b::1", 80)),
    ],
)
def test_splits(text: str, expected: tuple[str, int]) -> None:
    assert split_authority(text) == expected


HOSTILE = [
    "", ":", ":443", "a", "a:", "a:0", "a:65536", "a:080", "a:+80", "a: 80", "a:80 ", "a:8o",
    "a:\u0668\u0660", "a:80:80", "user@a:80", "a@b:80", "a/b:80", "a b:80", "a\x00b:80",
    "b\u00fccher.example:80", "a..b:80", ".a:80", "a:80\n", "-a:80", "2001:db8::1:443", "[::1]",
    "[::1]443", "[::1", "::1]:443", "[]:443", "[::1%eth0]:443", "[192.0.2.1]:80", "[a]:80",
    "127.1:80", "0x7f000001:80", "2130706433:80", "0177.0.0.1:80", "1.2.3.4.5:80", "1.2.3.0x4:80",
    "256.0.0.1:80", "*:80", "a" * 64 + ":80", "a." * 127 + "example:80",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_refuses(text: str) -> None:
    with pytest.raises(ProtocolError, match=r"write|is no IPv6|zone id"):
        split_authority(text)


def test_default_port() -> None:
    assert split_authority("a.example", 80) == ("a.example", 80)
    assert split_authority("[::1]", 443) == ("::1", 443)
    with pytest.raises(ProtocolError, match="no valid port"):
        split_authority("a.example:", 80)


@given(st.text(max_size=40))
def test_a_parsed_host_is_stable(text: str) -> None:
    try:
        host = parse_host(text)
    except ProtocolError:
        return
    assert parse_host(host) == host == host.lower()
