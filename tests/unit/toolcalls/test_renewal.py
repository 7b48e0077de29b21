"""A judge without a firewall around it takes its policy anew when the file changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firewall.actor import Actor
from firewall.gpu import GpuMonitor
from firewall.judge import Judge
from firewall.policy import Policy, load_policy
from firewall.requests import ToolCall
from firewall.toolcalls import renewal
from firewall.toolcalls.renewal import Renewal
from tests.waiting import eventually

RULE = "version: 1\nname: p\ntools: {{rules: [{{name: {name}, deny: [{tool}]}}]}}\n"


class Quiet:
    """A log and a witness that keep what they are told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def append(self, event: Any, done: Any = None, *, urgent: bool = True) -> None:
        self.events.append(event)

    def verdict(self, event: Any, seconds: float) -> None: ...


class Bench:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "p.yaml"
        self.path.write_text(RULE.format(name="first", tool="pay"))
        self.log, self.said = Quiet(), list[str]()
        self.judge = Judge(load_policy(self.path), self.log, GpuMonitor(), self.log)
        self.renewal = Renewal(self.judge, self.said.append)

    def rule(self, tool: str) -> str:
        return self.judge.preview(ToolCall(tool, "{}"), Actor("t")).rule


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(renewal, "LOOK_SECONDS", 0.01)
    made = Bench(tmp_path)
    yield made
    made.renewal.close()


def test_a_changed_file_takes_force_and_is_recorded(bench: Bench) -> None:
    assert (bench.rule("pay"), bench.rule("send")) == ("first", "tools.default")
    bench.path.write_text(RULE.format(name="second", tool="send"))
    assert eventually(lambda: bench.rule("send") == "second")
    assert bench.rule("pay") == "tools.default"
    (record,) = eventually(lambda: bench.log.events)
    assert (record["kind"], record["digest"]) == ("policy", bench.judge.policy.digest)
    assert bench.said == []


@pytest.mark.parametrize("text", ["", "nonsense", RULE.format(name="[", tool="send")])
def test_a_broken_file_leaves_the_old_policy_in_force_and_says_so(bench: Bench, text: str) -> None:
    bench.path.write_text(text)
    (said,) = eventually(lambda: bench.said)
    assert said.startswith("firewall: the old policy stays in force: ")
    assert "p.yaml" in said
    assert bench.rule("pay") == "first"
    bench.path.write_text(RULE.format(name="mended", tool="pay"))
    assert eventually(lambda: bench.rule("pay") == "mended")


def test_a_policy_that_cannot_be_loaded_ends_no_watching(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **_more: object) -> Policy:
        raise RuntimeError("injected")

    with monkeypatch.context() as broken:
        broken.setattr("firewall.policy.reloading.load_policy", fail)
        bench.path.write_text(RULE.format(name="second", tool="pay"))
        (said,) = eventually(lambda: bench.said)
    assert "the old policy stays in force: RuntimeError('injected')" in said
    assert bench.rule("pay") == "first"
    bench.path.touch()
    assert eventually(lambda: bench.rule("pay") == "second")


def test_nothing_is_taken_once_it_is_closed(bench: Bench) -> None:
    bench.renewal.close()
    bench.path.write_text(RULE.format(name="second", tool="pay"))
    assert not bench.renewal._thread.is_alive()
    assert bench.rule("pay") == "first"


def test_a_file_where_the_agent_works_is_taken_in_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = Bench(tmp_path)
    bench.path.write_text(RULE.format(name="second", tool="pay"))
    assert not bench.renewal._thread.is_alive()
    assert bench.rule("pay") == "first"
    bench.renewal.now()
    assert bench.rule("pay") == "second"
    bench.renewal.close()
