"""Which sandboxes run on this machine, as their firewalls say."""

from pathlib import Path
from typing import Any

import pytest

from firewall.cli import neighbours
from firewall.cli.neighbours import Neighbours


class Firewalls:
    """Stands in for the control sockets. One that does not answer raises."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked = 0

    def running(self, directory: Path) -> list[str]:
        self.asked += 1
        return list(self.answers)

    def ask(self, directory: Path, name: str, request: dict[str, Any]) -> dict[str, Any]:
        if isinstance(self.answers[name], Exception):
            raise self.answers[name]
        return {"namespace": self.answers[name]}


def test_each_sandbox_is_known_by_its_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Firewalls(rl=77, serve=None, gone=ConnectionResetError("ended"), bad=ValueError())
    monkeypatch.setattr(neighbours, "control", there)
    known = Neighbours(tmp_path)
    assert known() == {77: "rl"}
    assert known() == {77: "rl"}
    assert there.asked == 1, "an answer stands for a while"
    monkeypatch.setattr("firewall.cli.neighbours.time.monotonic", lambda: 1e12)
    del there.answers["rl"]
    assert known() == {}


def test_a_folder_that_cannot_be_read_knows_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert Neighbours(tmp_path / "file")() == {}
