"""Synthetic addresses: stable, two-way, bounded."""

from hypothesis import given
from hypothesis import strategies as st

from firewall.proxy.names import NET4, NET6, Names


def test_a_name_keeps_its_addresses_and_both_lead_back_to_it() -> None:
    names = Names()
    first = names.addresses("github.com")
    names.addresses("example.test")
    assert names.addresses("github.com") == first
    assert [names.name(str(each)) for each in first] == ["github.com", "github.com"]
    assert first[0] in NET4
    assert first[1] in NET6


def test_an_address_that_was_never_given_has_no_name() -> None:
    names = Names()
    names.addresses("github.com")
    assert [names.name(each) for each in ("198.18.200.1", "192.0.2.1", "2001:db8::1")] == [None] * 3


def test_a_full_table_forgets_the_name_unused_for_longest() -> None:
    names = Names(capacity=2)
    oldest, kept = names.addresses("a.test")[0], names.addresses("b.test")[0]
    names.name(str(oldest))
    newcomer = names.addresses("c.test")[0]
    assert newcomer == kept, "the number of b.test is free again"
    assert names.name(str(newcomer)) == "c.test"
    assert names.name(str(oldest)) == "a.test"


@given(st.lists(st.sampled_from([f"{n}.test" for n in range(20)]), max_size=60))
def test_no_two_names_share_an_address(asked: list[str]) -> None:
    names = Names(capacity=8)
    for name in asked:
        given_now = names.addresses(name)[0]
        assert names.name(str(given_now)) == name
