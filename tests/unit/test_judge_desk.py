"""What the policy leaves to a person: held, answered, recorded, denied where nobody is there."""

from typing import cast

import pytest

import firewall.judge
from firewall.actor import Actor
from firewall.causes import Cause
from firewall.credentials import KEYS_ALONE
from firewall.deeds import Did, Past
from firewall.judge import Judge
from firewall.policy import Policy
from firewall.ports import Answer, Desk
from firewall.redaction import Terms
from firewall.requests import Request, ToolCall
from firewall.verdict import Action, Severity, Verdict
from tests.unit.proxy.stage import CURL, Memory

CALL = ToolCall("Bash", "{}")
ACTOR = Actor("run-1", CURL)
ASK = Verdict(Action.ASK, "push", "a push needs consent", Severity.WARNING)
GRANT = Verdict(Action.ALLOW, "push", "ann said yes")


class Asking:
    """A policy that leaves everything to a person."""

    digest = "d"
    on_critical = "alert"
    remembers: frozenset[Did] = frozenset()
    dated: bool = False
    redaction = Terms()
    watched = KEYS_ALONE

    def decide(self, request: Request, actor: Actor, past: Past) -> Verdict:
        return ASK


class Person:
    """A desk whose person answers when the test does."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.granted = False

    def standing(self, request: Request, actor: Actor, verdict: Verdict) -> Verdict:
        return GRANT if self.granted else verdict

    def ask(self, request: Request, actor: Actor, verdict: Verdict, answer: Answer) -> None:
        self.answers.append(answer)


def court(desk: Desk | None) -> tuple[Judge, Memory]:
    memory = Memory()
    return Judge(cast("Policy", Asking()), memory, memory, memory, desk=desk), memory


def actions(memory: Memory) -> list[str]:
    return [event["verdict"]["action"] for event in memory.records]


def test_it_is_held_until_a_person_has_answered_and_both_are_recorded() -> None:
    person, answers = Person(), list[Verdict]()
    judge, memory = court(person)
    judge.decide(CALL, ACTOR, {}, answers.append)
    assert answers == []
    assert actions(memory) == ["ask"]
    person.answers[0](GRANT)
    assert answers == [GRANT]
    assert actions(memory) == ["ask", "allow"]


def test_what_was_granted_before_is_not_asked_again() -> None:
    person, answers = Person(), list[Verdict]()
    person.granted = True
    judge, memory = court(person)
    judge.decide(CALL, ACTOR, {}, answers.append)
    assert answers == [GRANT]
    assert person.answers == []
    assert actions(memory) == ["allow"]


def test_a_caller_with_a_user_of_its_own_is_told_to_ask() -> None:
    person, answers = Person(), list[Verdict]()
    judge, memory = court(person)
    judge.decide(CALL, ACTOR, {}, answers.append, hold=False)
    assert answers == [ASK]
    assert not ASK.allowed
    assert person.answers == []
    assert actions(memory) == ["ask"]


def test_without_a_desk_it_is_denied() -> None:
    answers: list[Verdict] = []
    judge, memory = court(None)
    judge.decide(CALL, ACTOR, {}, answers.append)
    assert answers[0].action is Action.DENY
    assert answers[0].reason == "a push needs consent; nobody can be asked here"
    assert actions(memory) == ["ask", "deny"]


def test_consent_opens_nothing_in_a_quarantine() -> None:
    person, answers = Person(), list[Verdict]()
    judge, _ = court(person)
    judge.decide(CALL, ACTOR, {}, answers.append)
    judge.quarantine(Cause("guards.mining", "stratum"))
    person.answers[0](GRANT)
    assert answers[0].rule == "quarantine"


def test_a_desk_that_fails_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(point: str) -> None:
        if point == "judge.desk":
            raise RuntimeError("no desk")

    monkeypatch.setattr(firewall.judge, "probe", broken)
    answers: list[Verdict] = []
    judge, _ = court(Person())
    judge.decide(CALL, ACTOR, {}, answers.append)
    assert (answers[0].action, answers[0].rule) == (Action.DENY, "fail-closed.judge.desk")
