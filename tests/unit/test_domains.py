"""Registrable domains."""

import pytest

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
