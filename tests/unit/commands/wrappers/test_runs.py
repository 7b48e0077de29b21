"""Programs that run another one by an option, an argument, a variable or what they are fed."""

from pathlib import Path

import pytest

from firewall.commands import read_shell
from tests.unit.commands.test_shell import names

CASES = [
    line.split("\t", 1) for line in Path(__file__).with_name("runs.txt").read_text().splitlines()
]
"""Whether `inner` is found or the text is opaque, and the text, its line ends in here-documents as
`\\n`."""


@pytest.mark.parametrize(("expected", "text"), CASES, ids=[text for _, text in CASES])
def test_what_runs_is_found_or_opaque(expected: str, text: str) -> None:
    reading = read_shell(text.replace("\\n", "\n") if "<<E" in text else text)
    found = "inner" in {name.partition("@")[0] for name in names(reading)}
    assert found if expected == "found" else reading.opaque
