"""Shell text to commands."""

import json
from pathlib import Path

import pytest

from firewall.commands import Reading, read_shell

BYPASSES = [
    json.loads(line)
    for line in Path(__file__).with_name("shell_bypasses.jsonl").read_text().splitlines()
]


def names(reading: Reading) -> list[str]:
    """Programs in the order they were found; "?" for one that only running can tell."""
    return [
        (command.words[0] or "?").rpartition("/")[2]
        for command in reading.commands
        if command.words
    ]


@pytest.mark.parametrize("case", BYPASSES, ids=lambda case: case["id"])
def test_every_hidden_command_is_found_or_opaque(case: dict[str, list[str] | str | None]) -> None:
    reading = read_shell(str(case["command"]))
    assert not any("failed" in opaque.why for opaque in reading.opaque)
    assert set(case["expect_inner"] or ()) <= set(names(reading)) or reading.opaque
