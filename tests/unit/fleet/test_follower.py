"""What a node's agent does with what it is offered; over a network in tests/e2e/test_fleet.py."""

import errno
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from firewall.audit.ship import Settings
from firewall.fleet.bundlefile import BundleFile
from firewall.fleet.follower import Follower
from tests.unit.fleet.conftest import OTHER, TRUST, Bundled


class Stage:
    """A follower, and what it recorded."""

    def __init__(self, folder: Path) -> None:
        self.records: list[Mapping[str, Any]] = []
        self.file = BundleFile(folder / "policy.bundle", TRUST)
        settings = Settings("gpu-17")
        self.follower = Follower(
            "nats://127.0.0.1:1", settings, "training", self.file, list,
            lambda state: b"", self.records.append,
        )  # fmt: skip

    def offer(self, data: bytes) -> list[str]:
        """The kinds of what was recorded of it."""
        before = len(self.records)
        self.follower._judge(data)
        return [str(each["kind"]) for each in self.records[before:]]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_what_is_offered_for_long_is_told_once(stage: Stage, bundled: Bundled) -> None:
    good, bad = bundled(7), bundled(8, key=OTHER)
    assert [stage.offer(each) for each in (good, good)] == [["fleet.taken"], []]
    assert [stage.offer(each) for each in (bad, bad)] == [["fleet.refused"], []]
    state = stage.follower.state
    assert state.refused is not None
    assert "signed by other" in state.refused.why
    assert (state.taken, state.refusals) == (1, 1)
    assert stage.offer(good) == []
    assert state.refused is None
    assert state.bundle is not None
    assert state.bundle.version == 7


def test_a_disk_that_was_full_is_tried_again(
    stage: Stage, bundled: Bundled, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bundled(7)
    take, full = BundleFile.take, OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_: object) -> None:
        raise full

    monkeypatch.setattr(BundleFile, "take", refuse)
    assert [stage.offer(each) for each in (data, data)] == [["fleet.refused"], []]
    monkeypatch.setattr(BundleFile, "take", take)
    assert stage.offer(data) == ["fleet.taken"]


def test_without_a_server_what_is_there_stays(stage: Stage, bundled: Bundled) -> None:
    stage.file.take(bundled(7), "x")
    assert not stage.follower.run(threading.Event(), once=True)
    assert stage.file.holds(stage.file.path.read_bytes())
    assert stage.follower.state.bundle is not None
    assert stage.follower.state.bundle.version == 7


def test_names_are_tokens(tmp_path: Path) -> None:
    file = BundleFile(tmp_path / "policy.bundle", TRUST)
    for group, source in (("a.b", "x"), ("a", ">"), ("*", "x")):
        with pytest.raises(ValueError, match="letters, digits"):
            Follower("nats://h", Settings(source), group, file, list, lambda state: b"", print)
