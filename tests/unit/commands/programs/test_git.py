"""git and its kin: remotes behind two words."""

import shlex

import pytest

from firewall.commands.intents import facts_of


def told(line: str) -> list[str]:
    """Intents as "name target detail"."""
    found = facts_of(shlex.split(line)).intents
    return [f"{each.name} {each.target} {each.detail}".strip() for each in found]


CASES = {
    "git lfs push origin main": ["git.push origin main"],
    "git subtree push -P d origin m": ["git.push origin m"],
    "git subtree push --prefix d origin m": ["git.push origin m"],
    "git svn clone https://h": ["git.fetch https://h"],
    "git submodule add https://h/r d": ["git.fetch https://h/r d"],
    "git p4 clone //d": ["git.fetch //d"],
    "jj git push --remote up": ["git.push up"],
    "jj git fetch": ["git.fetch the default remote"],
    "jj git clone https://h/r": ["git.fetch https://h/r"],
    "jj log": [],
}


@pytest.mark.parametrize("line", CASES)
def test_intents(line: str) -> None:
    assert told(line) == CASES[line]
