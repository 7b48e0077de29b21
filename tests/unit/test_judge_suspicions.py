"""What is only suspicious passes, is recorded with the GPUs' state, and weighs more with it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from firewall.actor import Actor
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.requests import Finding, Message
from firewall.verdict import Verdict
from tests.unit.proxy.stage import Memory

SHAPE = Finding("mining", "encrypted-shape", "score 0.9 of 1", "the whole flow", "suspicious")
FOUND = Message("a.example", 443, "encrypted stream", "sent", (SHAPE,))
BUSY = {
    "status": "ok",
    "devices": [
        {
            "index": 0,
            "utilisation": 98,
            "processes": [{"pid": 9, "relation": "same sandbox", "sm": 98}],
        },
    ],
}


class Watching(Memory):
    """A log whose GPUs do what `gpu` says."""

    gpu: Mapping[str, Any] = {"status": "unavailable", "reason": "no driver"}

    def fresh(self, actor: Actor, done: Callable[[Mapping[str, Any]], None]) -> None:
        done(self.gpu)


def asked(path: Path, memory: Watching, guards: str = "{}") -> list[Verdict]:
    path.write_text(f"version: 1\nname: test\nguards: {guards}\n")
    verdicts: list[Verdict] = []
    judge = Judge(load_policy(path), memory, memory, memory)
    judge.decide(FOUND, Actor("test"), {}, verdicts.append)
    return verdicts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def test_it_passes_and_is_recorded_with_the_gpus(path: Path) -> None:
    memory = Watching()
    (verdict,) = asked(path, memory)
    assert verdict.allowed
    (record,) = memory.records
    assert record["gpu"]["reason"] == "no driver"
    assert record["verdict"]["severity"] == "warning"
    assert (
        "guards.suspicious is set to alert: encrypted-shape: score 0.9"
        in record["verdict"]["reason"]
    )


def test_a_busy_gpu_of_the_same_sandbox_raises_it(path: Path) -> None:
    memory = Watching()
    memory.gpu = BUSY
    (verdict,) = asked(path, memory)
    assert verdict.allowed
    (record,) = memory.records
    assert record["verdict"]["severity"] == "critical"
    assert record["verdict"]["reason"].endswith(
        "meanwhile process 9 (same sandbox) uses GPU 0 at 98 %"
    )


def test_a_policy_may_block_it(path: Path) -> None:
    memory = Watching()
    (verdict,) = asked(path, memory, "{suspicious: block}")
    assert (verdict.allowed, verdict.rule) == (False, "guards.suspicious")


def test_without_a_record_it_does_not_pass(path: Path) -> None:
    (verdict,) = asked(path, Watching(full=True))
    assert (verdict.allowed, verdict.rule) == (False, "fail-closed.audit")
