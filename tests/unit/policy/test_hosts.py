"""Host patterns, and the index against a slow reading of the same rules."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.policy.errors import Fault
from firewall.policy.hosts import HostIndex, HostPattern, is_name, normalise, parse_host


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", ("name", "example.com")),
        ("localhost", ("name", "localhost")),
        ("_dmarc.example.com", ("name", "_dmarc.example.com")),
        ("xn--bcher-kva.example", ("name", "xn--bcher-kva.example")),
        ("*.example.com", ("below", "example.com")),
        ("10.0.0.1", ("network", "10.0.0.1/32")),
        ("10.0.0.0/8", ("network", "10.0.0.0/8")),
        ("2001:db8::/32", ("network", "2001:db8::/32")),
        ("::1", ("network", "::1/128")),
    ],
)
def test_parse(text: str, expected: tuple[str, str]) -> None:
    pattern = parse_host(text)
    assert (pattern.kind, pattern.text) == expected


@pytest.mark.parametrize(
    ("text", "write"),
    [
        ("[::1]", "::1"),
        ("[::1]:443", "::1, and ports: [443]"),
        ("*.Example.com", "example.com"),
        ("*.*.com", "the names themselves"),
        ("example.com/api", "example.com (paths belong in requests)"),
        ("2001:DB8::1", "2001:db8::1"),
        ("10.0.0.0/33", "a CIDR such as 10.0.0.0/8"),
        ("-a.example", "a name such as example.com, or an IP address"),
        ("a..example", "a name such as example.com, or an IP address"),
        ("127.1", "a name such as example.com, or an IP address"),
        ("a" * 64 + ".example", "a name such as example.com, or an IP address"),
        ("", "a name such as example.com, or an IP address"),
    ],
)
def test_faults_say_what_to_write(text: str, write: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_host(text)
    assert caught.value.write == write


@pytest.mark.parametrize(
    ("outer", "inner", "covers"),
    [
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "*.a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "notexample.com", False),
        ("example.com", "a.example.com", False),
        ("10.0.0.0/8", "10.1.0.0/16", True),
        ("10.1.0.0/16", "10.0.0.0/8", False),
        ("0.0.0.0/0", "::1", False),
        ("0.0.0.0/0", "example.com", False),
    ],
)
def test_covers(outer: str, inner: str, covers: bool) -> None:
    assert parse_host(outer).covers(parse_host(inner)) is covers


def test_normalise() -> None:
    assert [normalise(text) for text in ("A.B.", "[::1]", "a.b")] == ["a.b", "::1", "a.b"]


def test_no_other_letter_becomes_an_ascii_one() -> None:
    assert normalise("\u212aernel.org") != "kernel.org"


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5).map(".".join)
HOSTS = st.one_of(NAMES, NAMES.map("*.{}".format))
PREFIXES = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: f"{ip_address(pair[0] >> (32 - pair[1]) << (32 - pair[1]))}/{pair[1]}"
)


def _slow(patterns: list[HostPattern], host: HostPattern) -> list[int]:
    return [number for number, pattern in enumerate(patterns) if pattern.covers(host)]


@given(st.lists(HOSTS), NAMES)
def test_names_are_found_as_a_slow_search_finds_them(hosts: list[str], name: str) -> None:
    patterns = [parse_host(host) for host in hosts]
    index = HostIndex((pattern, number) for number, pattern in enumerate(patterns))
    assert sorted(index.by_name(name)) == _slow(patterns, parse_host(name))


@given(st.lists(PREFIXES), st.ip_addresses(v=4))
def test_addresses_are_found_as_a_slow_search_finds_them(hosts: list[str], address: object) -> None:
    patterns = [parse_host(host) for host in hosts]
    index = HostIndex((pattern, number) for number, pattern in enumerate(patterns))
    found = index.by_address(ip_address(str(address)))
    assert sorted(found) == _slow(patterns, parse_host(str(address)))


def test_looking_up_does_not_change_the_index() -> None:
    index = HostIndex([(parse_host("a.b"), 1), (parse_host("*.b"), 2), (parse_host("::/0"), 3)])
    index.by_name("a.b").append(9)
    index.by_address(ip_address("::1")).append(9)
    assert index.by_name("a.b") == [1, 2]
    assert index.by_address(ip_address("::2")) == [3]


@given(st.text())
def test_names_are_ascii_and_never_addresses(text: str) -> None:
    if is_name(text):
        assert text.isascii()
        assert normalise(text) == text
