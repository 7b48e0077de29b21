"""What a response reaches: this firewall's own egress, that of others, and processes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from firewall.causes import Cause
from firewall.cli import hands
from firewall.cli.hands import FarHands, OwnHands
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy import control
from firewall.requests import Connect
from firewall.sandbox.blamed import Blamed
from tests.unit.gpu.views import JOB
from tests.unit.proxy.stage import Memory
from tests.waiting import eventually

CAUSE = Cause("gpu.unexpected-process", "xmrig uses GPU 0")
INSIDE = (JOB.__class__(JOB.pid, JOB.started, sandbox="run-1"),)


@dataclass
class Known(Blamed):
    """Processes that can always be blamed, and are never really touched."""

    refuse: str = ""
    did: list[Any] = field(default_factory=list)

    def blame(self, pid: int, started: float | None) -> str:
        self.did.append(pid)
        return self.refuse

    def freeze(self, done: Callable[[int, str], None]) -> None:
        done(3, "")

    def terminate(self, done: Callable[[int, str], None]) -> None:
        done(4, "")


def test_its_own_egress_is_closed() -> None:
    memory = Memory()
    judge = Judge(load_policy("base"), memory, memory, memory)
    assert OwnHands(judge, Known()).close((JOB,), CAUSE) == ""
    verdict = judge.preview(Connect("a.test", 443), None)  # type: ignore[arg-type]
    assert (verdict.allowed, verdict.rule) == (False, "quarantine")
    assert "because of gpu.unexpected-process: xmrig uses GPU 0" in verdict.reason


def test_whom_its_quarantine_is_to_freeze_is_told_before() -> None:
    memory, blamed = Memory(), Known(refuse="it has ended")
    judge = Judge(load_policy("base"), memory, memory, memory)
    freezing = Cause("gpu.unexpected-process", "why", freeze=True)
    assert OwnHands(judge, blamed).close((JOB,), freezing) == "it has ended"
    assert blamed.did == [JOB.pid]
    assert judge.quarantined is not None


def test_the_sandbox_of_another_firewall_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def ask(directory: Path, name: str, request: dict[str, Any]) -> dict[str, Any]:
        asked.append((name, request))
        return {}

    monkeypatch.setattr(control, "ask", ask)
    assert FarHands(Known(), tmp_path).close((*INSIDE, *INSIDE), CAUSE) == ""
    assert asked == [("run-1", {"do": "quarantine", "freeze": False})]


def test_egress_that_cannot_be_closed_is_told(tmp_path: Path) -> None:
    far = FarHands(Known(), tmp_path)
    assert far.close((JOB,), CAUSE) == (
        "its egress stays open: it runs in no sandbox of this firewall"
    )
    assert far.close((), CAUSE) == "its egress stays open: whose it is is not known"
    assert far.close(INSIDE, CAUSE).startswith("the egress of run-1 stays open: ")


@pytest.mark.parametrize(("act", "count"), [("freeze", 3), ("terminate", 4)])
def test_processes_are_blamed_and_what_cannot_be_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, count: int
) -> None:
    told: list[tuple[int, str]] = []
    for blamed, processes in (
        (Known(), (JOB,)),
        (Known(refuse="it has ended"), (JOB,)),
        (Known(), ()),
    ):
        monkeypatch.setattr(hands, "Blamed", lambda known=blamed: known)
        getattr(FarHands(blamed, tmp_path), act)(processes, lambda *done: told.append(done))
    eventually(lambda: len(told) == 3)
    nobody = "which process it is is not known"
    assert told == [(count, ""), (count, "it has ended"), (count, nobody)]
