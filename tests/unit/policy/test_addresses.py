"""Scopes of addresses, plain and wrapped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.policy.addresses import METADATA, Scope, classify, parse_address

CASES = [
    ("8.8.8.8", Scope.PUBLIC),
    ("2606:4700::1111", Scope.PUBLIC),
    ("0.0.0.0", Scope.UNSPECIFIED),
    ("0.1.2.3", Scope.UNSPECIFIED),
    ("10.1.2.3", Scope.PRIVATE),
    ("172.16.0.1", Scope.PRIVATE),
    ("172.31.255.255", Scope.PRIVATE),
    ("172.32.0.0", Scope.PUBLIC),
    ("192.168.0.1", Scope.PRIVATE),
    ("100.64.0.1", Scope.CGNAT),
    ("100.128.0.0", Scope.PUBLIC),
    ("127.0.0.1", Scope.LOOPBACK),
    ("127.255.255.254", Scope.LOOPBACK),
    ("169.254.1.1", Scope.LINK_LOCAL),
    ("169.254.169.254", Scope.METADATA),
    ("169.254.170.2", Scope.METADATA),
    ("100.100.100.200", Scope.METADATA),
    ("168.63.129.16", Scope.METADATA),
    ("192.0.0.192", Scope.METADATA),
    ("fd00:ec2::254", Scope.METADATA),
    ("224.0.0.1", Scope.MULTICAST),
    ("239.255.255.255", Scope.MULTICAST),
    ("240.0.0.1", Scope.RESERVED),
    ("255.255.255.255", Scope.BROADCAST),
    ("192.0.0.1", Scope.RESERVED),
    ("192.88.99.1", Scope.RESERVED),
    ("192.0.2.1", Scope.PUBLIC),
    ("203.0.113.9", Scope.PUBLIC),
    ("198.18.0.1", Scope.BENCHMARK),
    ("198.19.255.255", Scope.BENCHMARK),
    ("198.20.0.0", Scope.PUBLIC),
    ("::", Scope.UNSPECIFIED),
    ("::1", Scope.LOOPBACK),
    ("fe80::1", Scope.LINK_LOCAL),
    ("fe80::1%eth0", Scope.LINK_LOCAL),
    ("fec0::1", Scope.SITE_LOCAL),
    ("fc00::1", Scope.UNIQUE_LOCAL),
    ("fdff::1", Scope.UNIQUE_LOCAL),
    ("ff02::1", Scope.MULTICAST),
    ("2001:db8::1", Scope.PUBLIC),
    ("3fff::1", Scope.PUBLIC),
    ("2001:2::1", Scope.BENCHMARK),
    ("2001:20::1", Scope.RESERVED),
    ("100::1", Scope.RESERVED),
    ("4000::1", Scope.RESERVED),
    # Wrapped: what the inner address is.
    ("::ffff:10.0.0.1", Scope.PRIVATE),
    ("::ffff:169.254.169.254", Scope.METADATA),
    ("::ffff:8.8.8.8", Scope.PUBLIC),
    ("::10.0.0.1", Scope.PRIVATE),
    ("::169.254.169.254", Scope.METADATA),
    ("::ffff:0:127.0.0.1", Scope.LOOPBACK),
    ("64:ff9b::169.254.169.254", Scope.METADATA),
    ("64:ff9b::7f00:1", Scope.LOOPBACK),
    ("64:ff9b::808:808", Scope.PUBLIC),
    ("64:ff9b:1::808:808", Scope.NAT64_LOCAL),
    ("64:ff9b:1::a9fe:a9fe", Scope.METADATA),
    ("64:ff9b:1:a9fe:a9:fe00:808:808", Scope.METADATA),  # the RFC 6052 /48 form, hidden by a suffix
    ("2002:a00:1::1", Scope.PRIVATE),
    ("2002:a9fe:a9fe::", Scope.METADATA),
    ("2002:808:808::1", Scope.PUBLIC),
    ("2001:0:808:808:0:0:f5ff:fffe", Scope.PRIVATE),  # Teredo client 10.0.0.1
    ("2001:0:7f00:1:0:0:f7f7:f7f7", Scope.LOOPBACK),  # Teredo server 127.0.0.1
    ("2001:0:808:808:0:0:f7f7:f7f7", Scope.PUBLIC),
    # Not addresses, whatever some resolvers make of them.
    ("127.1", Scope.INVALID),
    ("0x7f.0.0.1", Scope.INVALID),
    ("2130706433", Scope.INVALID),
    ("010.0.0.1", Scope.INVALID),
    ("", Scope.INVALID),
    ("example.com", Scope.INVALID),
]


@pytest.mark.parametrize(("text", "scope"), CASES)
def test_scope(text: str, scope: Scope) -> None:
    assert classify(text) is scope


def test_mapped_addresses_are_the_ipv4_ones() -> None:
    assert str(parse_address("::ffff:8.8.8.8")) == "8.8.8.8"


@given(st.text())
def test_any_text_is_classified(text: str) -> None:
    assert (classify(text) is Scope.INVALID) == (parse_address(text) is None)


@given(st.ip_addresses(v=4).map(str))
def test_wrapping_never_makes_an_address_public(text: str) -> None:
    inner = classify(text)
    for wrapped in (f"::ffff:{text}", f"64:ff9b::{text}", f"::ffff:0:{text}"):
        assert classify(wrapped) is inner


@pytest.mark.parametrize("network", METADATA, ids=str)
def test_metadata_is_metadata_however_wrapped(network: object) -> None:
    text = str(network).partition("/")[0]
    assert classify(text) is Scope.METADATA
    if "." in text:
        assert classify(f"64:ff9b::{text}") is Scope.METADATA
