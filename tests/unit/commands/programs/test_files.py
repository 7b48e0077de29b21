"""Files that programs name, told apart by their options."""

import shlex

import pytest

from firewall.commands.intents import facts_of

CASES = [
    ("gpg -o b -c a", ("a",), ("b",)),
    ("gzip f", ("f",), ("f",)),
    ("gzip -dc f", ("f",), ()),
    ("sort -o out -k 2 f", ("f",), ("out",)),
    ("sed -i.bak s/a/b/ f", ("f",), ("f",)),
    ("sed -n 1p f", ("f",), ()),
    ("jq -r .a f", ("f",), ()),
    ("truncate -s 0 f", (), ("f",)),
]


@pytest.mark.parametrize(("line", "reads", "writes"), CASES)
def test_files(line: str, reads: tuple[str, ...], writes: tuple[str, ...]) -> None:
    found = facts_of(shlex.split(line))
    assert (found.reads, found.writes) == (reads, writes)
