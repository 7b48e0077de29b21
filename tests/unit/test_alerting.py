"""An alert becomes a record, a count and a line; what its rule asks for is done and recorded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import firewall.judge
from firewall.actor import Actor, Process
from firewall.alerting import Alarm, denial_of, everyone, only
from firewall.causes import Cause
from firewall.events import event_of
from firewall.gpu.alerts import DENIALS_LIMIT
from firewall.gpu.view import ProcessView
from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.policy import load_policy
from firewall.requests import Connect, Execute, Finding, Resolve
from firewall.verdict import Action, Severity, Verdict
from tests.unit.gpu.views import JOB, MINER, device, view
from tests.unit.proxy.stage import Memory
from tests.waiting import eventually

POLICY = """
version: 1
name: test
mode: {mode}
extends: [base]
gpu:
  expect: [{{name: trainer, program: "*/python*"}}]
  alert:
    unexpected-process: {{for: 0s, severity: critical, {more}}}
"""
DENIED = Verdict(Action.DENY, "guards.mining", "stratum-v1", Severity.CRITICAL)
ACTOR = Actor("run-1", Process(100, 1000.0, "/usr/bin/python3", ("python3",), 0), namespace=7)


@dataclass
class Hands:
    """Does what it is told to, and remembers it; with `trouble` it cannot."""

    trouble: str = ""
    did: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    cause: Cause | None = None

    def close(self, processes: Sequence[ProcessView], cause: Cause) -> str:
        self.cause = cause
        self.did.append(("close", tuple(each.pid for each in processes)))
        return self.trouble

    def freeze(self, processes: Sequence[ProcessView], done: Callable[[int, str], None]) -> None:
        self.did.append(("freeze", tuple(each.pid for each in processes)))
        done(2, self.trouble)

    def terminate(self, processes: Sequence[ProcessView], done: Callable[[int, str], None]) -> None:
        self.did.append(("terminate", tuple(each.pid for each in processes)))
        done(2, self.trouble)


@dataclass
class House:
    """An alarm with everything in memory."""

    alarm: Alarm
    judge: Judge
    memory: Memory
    metrics: Metrics
    hands: Hands
    lines: list[str]

    def records(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.memory.records if each["kind"] == kind]


def _house(
    tmp_path: Path, more: str = "respond: alert", *, mode: str = "enforce", trouble: str = ""
) -> House:
    path = tmp_path / "test.yaml"
    path.write_text(POLICY.format(mode=mode, more=more))
    memory, metrics, lines, hands = Memory(), Metrics(), list[str](), Hands(trouble)
    judge = Judge(load_policy(path), memory, memory, memory)
    alarm = Alarm(judge, metrics, lines.append, hands)
    return House(alarm, judge, memory, metrics, hands, lines)


def test_an_alert_is_a_record_a_count_and_a_line(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.alarm.see(view(1, device(JOB, MINER)))
    (record,) = house.records("gpu-alert")
    assert (record["rule"], record["state"]) == ("gpu.unexpected-process", "raised")
    assert (record["severity"], record["source"]) == ("critical", "test.yaml:9")
    assert record["device"]["utilisation"] == 95
    assert record["processes"][0]["argv"] == ["xmrig"]
    assert record["evidence"]["threshold"] == 5
    assert record["policy_digest"] == house.judge.policy.digest
    (line,) = house.lines
    assert line == (
        "firewall: gpu.unexpected-process raised (critical): xmrig[200] uses GPU 0 at 95 %; it is"
        " no declared workload (nearest: trainer, but for its program)"
    )
    key = ("gpu.unexpected-process", "critical")
    assert house.metrics.snapshot().active == {key: 1}
    house.alarm.see(view(2, device(JOB)))
    assert house.metrics.snapshot().active == {key: 0}
    assert house.metrics.snapshot().alerts == {key: 1}
    assert [each["state"] for each in house.records("gpu-alert")] == ["raised", "cleared"]
    assert house.hands.did == []


@pytest.mark.parametrize(
    ("respond", "did"),
    [
        ("quarantine", [("close", (200,))]),
        ("freeze, dry-run: false", [("close", (200,)), ("freeze", (200,))]),
        ("terminate, dry-run: false", [("close", (200,)), ("terminate", (200,))]),
    ],
)
def test_a_response_is_recorded_before_and_after(
    tmp_path: Path, respond: str, did: list[object]
) -> None:
    house = _house(tmp_path, f"respond: {respond}")
    house.alarm.see(view(1, device(MINER)))
    eventually(lambda: len(house.records("gpu-response")) == 2)
    begun, done = house.records("gpu-response")
    assert (begun["stage"], done["stage"]) == ("begun", "done")
    assert done["processes"] == [200]
    assert done["alert"] == house.records("gpu-alert")[0]["alert"]
    assert house.hands.did == did
    assert house.hands.cause is not None
    assert house.hands.cause.rule == "gpu.unexpected-process"
    assert house.hands.cause.freeze is respond.startswith("freeze")
    assert house.metrics.snapshot().responses == {(respond.partition(",")[0], "done"): 1}


@pytest.mark.parametrize(
    ("respond", "mode"),
    [
        ("freeze", "enforce"),
        ("terminate", "enforce"),
        ("quarantine, dry-run: true", "enforce"),
        ("terminate, dry-run: false", "observe"),
    ],
)
def test_a_dry_run_touches_nothing_and_says_so(tmp_path: Path, respond: str, mode: str) -> None:
    house = _house(tmp_path, f"respond: {respond}", mode=mode)
    house.alarm.see(view(1, device(MINER)))
    assert [each["stage"] for each in house.records("gpu-response")] == ["dry-run"]
    assert house.hands.did == []


def test_what_could_not_be_done_is_recorded_and_told(tmp_path: Path) -> None:
    house = _house(tmp_path, "respond: terminate, dry-run: false", trouble="it has ended")
    house.alarm.see(view(1, device(MINER)))
    eventually(lambda: len(house.records("gpu-response")) == 2)
    failed = house.records("gpu-response")[1]
    assert (failed["stage"], failed["trouble"]) == ("failed", "it has ended; it has ended")
    assert house.metrics.snapshot().responses == {("terminate", "failed"): 1}
    assert house.lines[-1] == "firewall: gpu.unexpected-process: it has ended; it has ended"


def test_egress_is_closed_although_nothing_can_be_recorded(tmp_path: Path) -> None:
    house = _house(tmp_path, "respond: quarantine")
    house.memory.full = True
    house.alarm.see(view(1, device(MINER)))
    eventually(lambda: house.hands.did == [("close", (200,))])


@pytest.mark.parametrize("point", ["gpu.alarm", "gpu.response"])
def test_a_failure_is_recorded_and_the_next_reading_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    def fail(probed: str) -> None:
        if probed == point:
            raise RuntimeError("broken for a test")

    house = _house(tmp_path, "respond: quarantine")
    with monkeypatch.context() as patched:
        patched.setattr(firewall.judge, "probe", fail)
        house.alarm.see(view(1, device(MINER)))
        eventually(lambda: house.memory.verdicts() == [("deny", f"fail-closed.{point}")])
    assert house.hands.did == []
    assert (house.judge.quarantined is not None) is (point == "gpu.response"), "it fails closed"
    reborn = replace(MINER, started=9000.0)
    house.alarm.see(view(2, device(reborn)))
    eventually(lambda: house.hands.did == [("close", (200,))])


def test_a_new_policy_judges_the_next_reading(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.alarm.see(view(1, device(MINER)))
    house.judge.policy = load_policy("base")
    house.alarm.see(view(2, device(MINER)))
    told = [(each["state"], each["alert"]) for each in house.records("gpu-alert")]
    assert told == [("raised", 1), ("cleared", 1)]
    assert set(house.metrics.snapshot().active.values()) == {0}


def test_an_edit_elsewhere_in_the_file_keeps_what_was_learned(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.alarm.see(view(1, device(MINER)))
    detector, path = house.alarm._detector, tmp_path / "test.yaml"
    path.write_text(f"# another line\n{path.read_text()}")
    house.judge.policy = load_policy(path)
    house.alarm.see(view(602, device(MINER)))
    assert house.alarm._detector is detector
    told = [(each["state"], each["source"]) for each in house.records("gpu-alert")]
    assert told == [("raised", "test.yaml:9"), ("ongoing", "test.yaml:10")]


def test_no_two_alerts_have_one_number(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.alarm.see(view(1, device(MINER)))
    rewritten = tmp_path / "test.yaml"
    rewritten.write_text(rewritten.read_text().replace("for: 0s", "for: 0s, utilisation: 6%"))
    house.judge.policy = load_policy(rewritten)
    house.alarm.see(view(2, device(MINER)))
    told = [(each["state"], each["alert"]) for each in house.records("gpu-alert")]
    assert told == [("raised", 1), ("cleared", 1), ("raised", 2)]


def test_a_flood_of_plain_denials_hides_no_critical_one(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.alarm.verdict(event_of(Connect("pool.test", 3333), DENIED, ACTOR, {}))
    for _ in range(DENIALS_LIMIT + 1):
        house.alarm.verdict(event_of(Connect("a.test", 443), PLAIN, ACTOR, {}))
    untold = replace(JOB, sm=None)
    house.alarm.see(view(monotonic(), device(untold, utilisation=None)))
    (record,) = house.records("gpu-alert")
    assert record["rule"] == "gpu.busy-with-denied-egress"


# The join


def test_a_denial_that_was_heard_joins_the_work_of_its_process(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.alarm.verdict(event_of(Connect("pool.test", 3333), DENIED, ACTOR, {}))
    (denial,) = house.alarm._denials.all()
    house.alarm.see(view(denial.at + 1, device(JOB)))
    (record,) = house.records("gpu-alert")
    assert (record["rule"], record["severity"]) == ("gpu.busy-with-denied-egress", "critical")
    assert record["evidence"]["denied"][0]["what"] == "Connect pool.test:3333"


def test_what_of_an_event_is_kept() -> None:
    denial = denial_of(event_of(Connect("pool.test", 3333), DENIED, ACTOR, {}), 5.0)
    assert denial is not None
    assert (denial.at, denial.critical) == (5.0, True)
    assert replace(denial.actor, container=None) == ACTOR


PLAIN = Verdict(Action.DENY, "default", "no rule allows it")
ALLOWED = Verdict(Action.ALLOW, "web", "allowed")
SUSPICIOUS = Finding("mining", "flow-shape", "it looks like it", "shape", "suspicious")


@pytest.mark.parametrize(
    ("request_", "verdict", "kept"),
    [
        (Connect("a.test", 443), PLAIN, True),
        (Connect("a.test", 443), ALLOWED, False),
        (Connect("a.test", 443, findings=(SUSPICIOUS,)), ALLOWED, True),
        (Connect("a.test", 443), replace(DENIED, rule="fail-closed.dial"), False),
        (Resolve("a.test", "TXT"), PLAIN, False),
        (Resolve("a.test", "TXT"), DENIED, True),
        (Execute("/bin/nc", ("nc",), "/"), DENIED, False),
    ],
)
def test_which_events_are_denied_egress(
    request_: Connect | Resolve | Execute, verdict: Verdict, kept: bool
) -> None:
    assert (denial_of(event_of(request_, verdict, ACTOR, {}), 0.0) is not None) is kept


def test_the_whole_machines_namespace_ties_nobody_to_anybody() -> None:
    own = Path("/proc/self/ns/net").stat().st_ino
    event = event_of(Connect("a.test", 443), PLAIN, replace(ACTOR, namespace=own), {})
    denial = denial_of(event, 0.0)
    assert denial is not None
    assert denial.actor.namespace is None


# Whose


def _is_job(process: ProcessView) -> bool:
    return process.pid == JOB.pid


def test_a_sandbox_judges_its_own_processes_and_what_they_use() -> None:
    other = replace(device(MINER), index="1", uuid="GPU-1")
    unlisted = replace(device(), index="2", uuid="GPU-2", processes=None, utilisation=80)
    alone = replace(device(JOB, utilisation=99), index="3")
    reading = view(0, device(JOB, MINER), other, unlisted, alone)
    seen = only(reading, _is_job).devices
    assert [each.processes for each in seen] == [(JOB,), (), None, (JOB,)]
    assert [each.utilisation for each in seen] == [90, 0, 80, 99]
    assert [each.power_watts for each in seen] == [None, None, 300.0, 300.0]
    assert only(reading, everyone) is reading


def test_an_alert_of_a_sandbox_is_cleared_when_its_process_ends(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.alarm._mine = lambda process: process.pid == MINER.pid
    for second, shown in enumerate([device(MINER), device(utilisation=90), device(JOB)]):
        house.alarm.see(view(second, shown))
    assert [each["state"] for each in house.records("gpu-alert")] == ["raised", "cleared"]


def test_what_others_do_to_a_device_is_no_work_of_the_sandbox(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.alarm._mine = lambda process: process.pid == MINER.pid
    for second in range(0, 120, 5):
        house.alarm.see(view(second, device(JOB, replace(MINER, sm=0))))
    assert house.records("gpu-alert") == []
