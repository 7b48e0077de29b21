"""The judge in quarantine: what shuts it, what it answers, and that no fault opens it."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.actor import Actor
from firewall.causes import SHUT, Cause
from firewall.judge import Judge
from firewall.policy import Policy, load_policy
from firewall.requests import Connect, Execute, Finding, Request, Resolve, ToolCall
from firewall.verdict import Action, Severity, Verdict
from tests.unit.proxy.stage import CURL, Memory

MINING = Finding("mining", "stratum", "mining.subscribe", "byte 0")
WEB = Connect("web.test", 443, protocol="tls")
ATTACK = Connect("web.test", 443, protocol="unknown", findings=(MINING,))
ACTOR = Actor("run-1", CURL)
POLICY = """
version: 1
name: test
extends: [base]
{more}
network: {{rules: [{{name: web, allow: https, hosts: [web.test]}}]}}
"""


def policy(folder: Path, more: str) -> Policy:
    path = folder / "policy.yaml"
    path.write_text(POLICY.format(more=more))
    return load_policy(path)


class Court:
    """A judge whose alarm, records and answers are kept."""

    def __init__(self, policy: Policy) -> None:
        self.memory = Memory()
        self.judge = Judge(policy, self.memory, self.memory, self.memory, "release it")
        self.alarms: list[Cause] = []
        self.judge.alarm = self.alarms.append

    def decide(self, request: Request) -> Verdict:
        answers: list[Verdict] = []
        self.judge.decide(request, ACTOR, {}, answers.append)
        (answer,) = answers
        return answer


@pytest.mark.parametrize("follows", ["quarantine", "freeze"])
def test_a_critical_block_shuts_the_door(tmp_path: Path, follows: str) -> None:
    court = Court(policy(tmp_path, f"guards: {{on-critical: {follows}}}"))
    assert court.decide(WEB).allowed
    assert court.decide(ATTACK).rule == "guards.mining"
    (alarm,) = court.alarms
    assert (alarm.rule, alarm.freeze) == ("guards.mining", follows == "freeze")
    assert alarm.trigger is not None
    assert alarm.trigger["actor"]["process"]["pid"] == CURL.pid
    refused = court.decide(WEB)
    assert (refused.action, refused.rule) == (Action.DENY, "quarantine")
    assert refused.severity is Severity.WARNING
    assert refused.reason == (
        f"all egress of this sandbox is closed since {alarm.since}, because of guards.mining:"
        " stratum: mining.subscribe (byte 0; certain)"
    )
    assert refused.remedy == "release it"
    assert court.judge.preview(WEB, ACTOR) == refused
    assert asyncio.run(court.judge.ask(Resolve("web.test", "A"), ACTOR, {})) == refused
    assert court.decide(ATTACK) == refused, "the policy is not asked, so no further alarm"
    assert court.alarms == [alarm]
    for inside in (Execute("/bin/ls", ("ls",), "/"), ToolCall("Read", "{}")):
        assert court.decide(inside).allowed, "nothing of it leads out"


@pytest.mark.parametrize(
    "more",
    ["", "guards: {on-critical: alert}", "mode: observe\nguards: {on-critical: freeze}"],
    ids=["by default", "alert", "observe"],
)
def test_it_stays_open_where_the_policy_wants_no_more_than_an_alert(
    tmp_path: Path, more: str
) -> None:
    court = Court(policy(tmp_path, more))
    court.decide(ATTACK)
    assert court.alarms == []
    assert court.decide(WEB).allowed


def test_what_is_not_critical_and_what_is_only_alerted_leave_it_open(tmp_path: Path) -> None:
    court = Court(policy(tmp_path, "guards: {mining: alert, on-critical: quarantine}"))
    assert court.decide(Connect("other.test", 443, protocol="tls")).rule == "default"
    assert court.decide(ATTACK).rule == "default", "mining is only told, and no rule allows it"
    assert court.alarms == []


def test_a_fault_of_the_firewall_is_no_attempt_of_the_agent(tmp_path: Path) -> None:
    court = Court(policy(tmp_path, "guards: {on-critical: quarantine}"))
    verdict = court.judge.fault("some.point", RuntimeError("broken"), WEB, ACTOR)
    assert verdict.severity is Severity.CRITICAL
    assert court.alarms == []
    assert court.decide(WEB).allowed


def test_an_allow_from_before_is_none_after(tmp_path: Path) -> None:
    court = Court(policy(tmp_path, ""))
    allowed, denied = court.decide(WEB), court.decide(Connect("other.test", 1))
    assert court.judge.standing(allowed) == allowed
    court.judge.quarantine(Cause("by-hand", "somebody asked"))
    assert court.judge.standing(allowed).rule == "quarantine"
    assert court.judge.standing(denied) == denied


def test_the_release_judges_by_the_policy_again(tmp_path: Path) -> None:
    court = Court(policy(tmp_path, "guards: {on-critical: quarantine}"))
    court.decide(ATTACK)
    court.judge.release()
    assert court.decide(WEB).rule == "web"
    court.decide(ATTACK)
    assert len(court.alarms) == 2, "and may be shut again"


def test_a_fault_in_the_shutting_leaves_it_shut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    court = Court(policy(tmp_path, "guards: {on-critical: quarantine}"))

    def fault(point: str) -> None:
        if point == "judge.quarantine":
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    assert court.decide(ATTACK).rule == "guards.mining"
    assert court.decide(WEB) == SHUT
    assert len(court.alarms) == 1, "the flows are cut all the same"
    assert ("deny", "fail-closed.judge.quarantine") in court.memory.verdicts()


def test_a_fault_in_the_alarm_leaves_it_shut(tmp_path: Path) -> None:
    court = Court(policy(tmp_path, "guards: {on-critical: quarantine}"))

    def fault(cause: Cause) -> None:
        raise RuntimeError("injected")

    court.judge.alarm = fault
    with pytest.raises(RuntimeError, match="injected"):
        court.decide(ATTACK)
    assert court.decide(WEB).rule == "quarantine"


def test_what_it_notes_is_known_to_be_durable(tmp_path: Path) -> None:
    court = Court(policy(tmp_path, ""))
    told: list[Any] = []
    court.judge.note("release", {"by": "x"}, told.append)
    court.memory.full = True
    court.judge.note("release", {"by": "x"}, told.append)
    assert told[0] is None
    assert isinstance(told[1], OSError)


class Busy(Memory):
    """A GPU monitor too: one process, whose arguments hold a secret."""

    def fresh(self, actor: Actor, done: Callable[[Mapping[str, Any]], None]) -> None:
        trainer = {"pid": 7, "argv": ["python3", "--api-key", "hunter2hunter2"], "sm": 90}
        done({"status": "ok", "devices": [{"index": "0", "processes": [trainer]}]})


def test_no_secret_of_a_process_on_a_gpu_is_recorded() -> None:
    memory = Busy()
    judge = Judge(load_policy("base"), memory, memory, memory)
    judge.decide(Connect("a.test", 443), Actor("test", CURL), {}, lambda verdict: None)
    (record,) = memory.records
    told = record["gpu"]["devices"][0]["processes"][0]
    assert (told["pid"], told["argv"][:2]) == (7, ["python3", "--api-key"])
    assert "hunter2" not in repr(record)


def test_a_failure_is_told_without_the_secrets_that_its_text_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    court = Court(policy(tmp_path, ""))
    broken = RuntimeError("no answer to Authorization: Bearer hunter2hunter2")
    told = court.judge.fault("relay", broken, WEB, ACTOR).reason
    assert told.startswith("the firewall could not judge this: no answer to ")
    assert "hunter2" not in told
    monkeypatch.setattr(Judge, "redactor", property(lambda judge: 1 / 0))
    untold = court.judge.fault("relay", broken, WEB, ACTOR)
    assert (untold.action, untold.rule) == (Action.DENY, "fail-closed.relay")
    assert untold.reason == "the firewall could not judge this: RuntimeError"
