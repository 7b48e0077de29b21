"""What reading finds, beside what bash really runs: stub programs write down each call."""

import os
import re
from collections.abc import Sequence
from random import Random

import pytest

from firewall.commands import read_shell
from tests.unit.commands.scripts import Stage, script

SCRIPTS = int(os.environ.get("SCRIPTS", "300"))
"""Set it higher to look for what is still misread; the seed of each script is its number."""


def missed(stage: Stage, text: str) -> list[tuple[str, ...]]:
    """Calls that reading should have told of, and did not."""
    reading = read_shell(text, str(stage.work))
    if reading.opaque:
        return []
    known = [command.words for command in reading.commands if command.words]
    return [call for call in stage.run(text) if not any(_tells(words, call) for words in known)]


def _tells(words: Sequence[str | None], call: Sequence[str]) -> bool:
    """A word that only running can tell is any number of words; a pattern or a home one word."""
    if not words:
        return not call
    first, rest = words[0], words[1:]
    if first is None:
        return any(_tells(rest, call[at:]) for at in range(len(call) + 1))
    if not call:
        return False
    same = first.rpartition("/")[2] == call[0].rpartition("/")[2] or re.search(r"[*?~]|\[", first)
    return bool(same) and _tells(rest, call[1:])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


def test_the_stage_sees_what_runs(stage: Stage) -> None:
    assert stage.run("alpha 'a b'; $(beta) gamma") == [("alpha", "a b"), ("beta",), ("gamma",)]
    assert missed(stage, "alpha") == []


def test_whatever_bash_runs_is_read_or_called_opaque(stage: Stage) -> None:
    texts = [script(Random(number)) for number in range(SCRIPTS)]
    assert {text: calls for text in texts if (calls := missed(stage, text))} == {}
    assert sum(not read_shell(text).opaque for text in texts) > SCRIPTS / 3
