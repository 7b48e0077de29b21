"""Which gates count, and what they judge by."""

from pathlib import Path
from typing import Any, Self

import pytest

from firewall.fleet import gates
from firewall.fleet.gates import in_force
from firewall.fleet.report import InForce

OLD, NEW = "a" * 64, "b" * 64


def test_gates_that_read_the_file_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "policy.bundle"
    (tmp_path / "link").symlink_to(tmp_path)
    through_link = str(tmp_path / "link" / "policy.bundle")
    answers: dict[str, Any] = {
        "a": {"file": str(file), "version": 7, "digest": NEW},
        "b": {"file": through_link, "version": 7, "digest": NEW},
        "c": {"file": str(file), "version": 6, "digest": OLD},
        "other": {"file": str(tmp_path / "other.yaml"), "version": 1, "digest": OLD},
        "older-firewall": {"policy": "coding"},
        "gone": ConnectionResetError("ended"),
        "odd": ValueError("no JSON"),
    }

    class Control:
        def running(self, directory: Path) -> list[str]:
            return list(answers)

        def ask(self, directory: Path, name: str, request: dict[str, Any]) -> Any:
            if isinstance(answers[name], Exception):
                raise answers[name]
            return answers[name]

    monkeypatch.setattr(gates, "control", Control())
    assert in_force(file, tmp_path) == [
        InForce(version=6, digest=OLD, count=1),
        InForce(version=7, digest=NEW, count=2),
    ]


def test_where_none_runs_there_is_none(tmp_path: Path) -> None:
    assert in_force(tmp_path / "policy.bundle", tmp_path / "none") == []


def test_a_nodes_policies_count_as_one_gate_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "policy.bundle"

    class Node:
        def __init__(self, path: str) -> None:
            if path != "there":
                raise FileNotFoundError(path)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

        def policies(self) -> dict[str, dict[str, Any]]:
            other = {"file": "/etc/other.yaml", "version": 0, "digest": OLD}
            return {"a": {"file": str(file), "version": 7, "digest": NEW}, "b": other}

    monkeypatch.setattr(gates, "Node", Node)
    assert in_force(file, tmp_path, "there") == [InForce(version=7, digest=NEW, count=1)]
    assert in_force(file, tmp_path, "gone") == []
