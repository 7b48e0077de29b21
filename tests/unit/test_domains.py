"""Registrable domains."""

from pathlib import Path

import pytest
from publicsuffixlist import PSLFILE, PublicSuffixList

from firewall.domains import is_registry, registrable


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("me.github.io", "me.github.io"),
        ("deep.me.github.io", "me.github.io"),
        ("github.io", None),
        ("com", None),
        ("localhost", None),
        ("", None),
        (".", None),
        ("a..b", None),
    ],
)
def test_registrable(name: str, expected: str | None) -> None:
    assert registrable(name) == expected


def test_registries_are_no_services() -> None:
    assert is_registry("com")
    assert is_registry("co.uk")
    assert not is_registry("github.io")
    assert not is_registry("internal"), "no registry sells names below it"
    assert not is_registry("example.com")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.xn--55qx5d.cn", "b.xn--55qx5d.cn"),
        ("a.xn--p1ai", "a.xn--p1ai"),
        ("xn--p1ai", None),
        ("b.xn--kput3i.a.com", "a.com"),
        ("a.xn--\N{DIGIT ONE}-.com", "xn--1-.com"),
    ],
)
def test_names_in_punycode_are_found_and_given_back_as_they_came(
    name: str, expected: str | None
) -> None:
    assert registrable(name) == expected


def test_a_registry_in_punycode_is_one() -> None:
    assert is_registry("xn--55qx5d.cn")
    assert not is_registry("a.xn--55qx5d.cn")


def test_every_rule_of_the_list_means_what_the_package_makes_of_it() -> None:
    services = PublicSuffixList(accept_encoded_idn=False)
    registries = PublicSuffixList(accept_encoded_idn=False, only_icann=True, accept_unknown=False)
    rules = [line.strip() for line in Path(PSLFILE).read_text("utf-8").splitlines()]
    endings = {rule.lstrip("!*.") for rule in rules if rule and not rule.startswith("//")}
    assert len(endings) > 10_000
    for name in (f"{labels}{ending}" for ending in endings for labels in ("", "a.", "b.a.")):
        assert registrable(name) == services.privatesuffix(name), name
        assert is_registry(name) == (registries.publicsuffix(name) == name), name
