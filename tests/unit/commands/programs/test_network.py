"""Tunnels that rules may name."""

import shlex

import pytest

from firewall.commands.intents import facts_of


def told(line: str) -> list[str]:
    """Intents as "name target detail"."""
    found = facts_of(shlex.split(line)).intents
    return [f"{each.name} {each.target} {each.detail}".strip() for each in found]


CASES = {
    "openvpn --config f": ["tunnel openvpn --config f"],
    "openvpn --version": [],
    "wg-quick up wg0": ["tunnel wg-quick up wg0"],
    "wg-quick down wg0": [],
    "zerotier-cli join x": ["tunnel zerotier-cli join x"],
    "zerotier-cli info": [],
    "tor": ["tunnel tor"],
    "man tor": [],
}


@pytest.mark.parametrize("line", CASES)
def test_intents(line: str) -> None:
    assert told(line) == CASES[line]


def test_honest_tunnels_are_left_to_rules() -> None:
    assert facts_of(["openvpn", "--config", "f"]).findings == ()


def test_openssl_tells_its_files() -> None:
    found = facts_of(["openssl", "enc", "-in", "a", "-out", "b"])
    assert (found.intents, found.reads, found.writes) == ((), ("a",), ("b",))
