"""The judge and limits: what is charged when, what is said and recorded, and that faults deny."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.actor import Actor
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.quota import Charged, Due, Ledger
from firewall.requests import Connect, HttpRequest, Request
from firewall.verdict import Severity, Verdict, by_limit
from tests.unit.proxy.stage import CURL, Memory

ACTOR = Actor("run-1", CURL)
POLICY = """
version: 1
name: test
{more}
network:
  limits: {{names: 2/h}}
  rules:
    - name: web
      allow: https
      hosts: ["*.test"]
      limits:
        - {{requests: 2/min, per: host}}
        - {{connections: 3/min, sent: 1KB/h}}
"""


class Court:
    """A judge whose clock, records and answers are the test's."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.path = folder / "policy.yaml"
        self.now = 100.0
        self.memory = Memory()
        self.judge = Judge(self.load(more), self.memory, self.memory, self.memory)
        self.judge.quota = Ledger(lambda: self.now)

    def load(self, more: str = "", *changes: tuple[str, str]) -> Any:
        text = POLICY.format(more=more)
        for old, new in changes:
            text = text.replace(old, new)
        self.path.write_text(text)
        return load_policy(self.path)

    def decide(self, request: Request, *, counted: bool = False) -> Verdict:
        answers: list[Verdict] = []
        self.judge.decide(request, ACTOR, {"flow": 1}, answers.append, counted=counted)
        (answer,) = answers
        return answer

    def meter(self) -> Any:
        verdict = self.decide(get("a.test"))
        return self.judge.meter(get("a.test"), ACTOR, {"flow": 1}, verdict)


@pytest.fixture
def court(tmp_path: Path) -> Court:
    return Court(tmp_path)


def get(host: str) -> HttpRequest:
    return HttpRequest("GET", "https", host, 443, "/", authority=host)


def tls(host: str) -> Connect:
    return Connect(host, 443, protocol="tls", sni=host)


def test_a_limit_that_is_reached_is_a_deny_that_tells_when_there_is_room(court: Court) -> None:
    assert court.decide(get("a.test")).allowed
    assert court.decide(get("A.test.")).allowed, "one host, however it is written"
    denied = court.decide(get("a.test"))
    assert not denied.allowed
    assert (denied.rule, denied.severity, denied.wait) == ("limits.web", Severity.WARNING, 62)
    assert denied.source == "policy.yaml:12"
    assert denied.reason == (
        "the limit requests 2/min per host of rule web is reached: 2 of 2 requests for a.test;"
        " there is room again in 62 s"
    )
    assert denied.remedy == "wait 62 s, or raise limits.requests of rule web (policy.yaml:12)"
    assert by_limit(denied.rule)
    assert court.decide(get("b.test")).allowed, "another host"
    record = court.memory.records[2]
    assert record["verdict"]["rule"] == "limits.web"
    assert (record["flow"]["flow"], record["flow"]["limit"]["used"]) == (1, 2)
    assert "gpu" in record
    court.now += denied.wait
    assert court.decide(get("a.test")).allowed


def test_connections_and_names_count_when_a_connection_is_judged(court: Court) -> None:
    assert court.decide(tls("a.test")).allowed
    assert court.decide(tls("b.test")).allowed
    denied = court.decide(tls("c.test"))
    assert (denied.rule, denied.source) == ("network.limits", "policy.yaml:6")
    assert "2 of 2 different names for run-1" in denied.reason
    assert court.decide(tls("a.test")).allowed, "a name that is known, and the third connection"
    assert court.decide(tls("a.test")).rule == "limits.web"
    assert court.decide(tls("a.test"), counted=True).allowed, "the same at another address"


def test_what_is_only_previewed_or_denied_costs_nothing(court: Court) -> None:
    for _ in range(9):
        assert court.judge.preview(get("a.test"), ACTOR).allowed
        assert court.decide(get("elsewhere.example")).rule == "default"
    assert court.decide(get("a.test")).allowed


def test_another_policy_goes_on_with_what_was_used(court: Court) -> None:
    for _ in range(2):
        court.decide(get("a.test"))
    court.judge.policy = court.load("", ("requests: 2/min", "requests: 3/min"))
    assert court.decide(get("a.test")).allowed
    assert "3 of 3 requests" in court.decide(get("a.test")).reason


def test_a_limit_that_goes_and_comes_back_goes_on_with_what_was_used(court: Court) -> None:
    limited = court.judge.policy
    for _ in range(2):
        court.decide(get("a.test"))
    court.judge.policy = court.load("", ("{requests: 2/min, per: host}", "{connections: 9/h}"))
    assert court.decide(get("a.test")).allowed
    assert court.decide(tls("b.test")).allowed, "another limit is counted meanwhile"
    court.judge.policy = limited
    assert "2 of 2 requests" in court.decide(get("a.test")).reason


def test_observing_counts_and_records_and_stops_nothing(tmp_path: Path) -> None:
    court = Court(tmp_path, "mode: observe")
    verdicts = [court.decide(get("a.test")) for _ in range(4)]
    assert all(each.allowed for each in verdicts)
    assert [each.rule for each in verdicts] == ["web", "web", "limits.web", "limits.web"]
    assert "3 of 2 requests" in verdicts[3].reason
    meter, told = court.meter(), list[Any]()
    meter.spend("sent", 5000, told.append)
    meter.spend("sent", 5000, told.append)
    assert (told, meter.left("sent")) == ([None, None], sys.maxsize)
    denied = [each for each in court.memory.records if "1,000 bytes" in each["verdict"]["reason"]]
    assert len(denied) == 1, "told once, and not for each piece"
    assert denied[0]["verdict"]["enforced"] is False


def test_bytes_are_counted_before_they_move(court: Court) -> None:
    meter, told = court.meter(), list[Any]()
    meter.spend("sent", 600, told.append)
    assert (told, meter.left("sent"), meter.left("received")) == ([None], 400, sys.maxsize)
    meter.spend("sent", 401, told.append)
    denied = told[1]
    assert (denied.rule, denied.wait) == ("limits.web", 3620)
    assert (
        "600 of 1,000 bytes sent, and this is 401; there is room again in 61 min" in denied.reason
    )
    assert court.memory.records[-1]["flow"]["limit"]["measure"] == "sent"
    assert meter.left("sent") == 400, "what was refused is not counted"
    meter.spend("sent", 1001, told.append)
    assert (told[2].wait, told[2].remedy[:18]) == (0, "send less at once,"), "a 403, and no 429"
    assert asyncio.run(meter.spent("sent", 400)) is None
    assert asyncio.run(meter.spent("sent", 1)).rule == "limits.web"


def test_without_a_limit_of_bytes_there_is_no_meter(court: Court) -> None:
    court.judge.policy = court.load("", (", sent: 1KB/h", ""))
    assert court.meter() is None


@pytest.mark.parametrize("broke", ["judge.quota", "judge.charged"])
def test_a_fault_where_it_is_counted_denies(
    court: Court, monkeypatch: pytest.MonkeyPatch, broke: str
) -> None:
    def broken(point: str) -> None:
        if point == broke:
            raise ValueError("a fault")

    monkeypatch.setattr(firewall.judge, "probe", broken)
    denied = court.decide(get("a.test"))
    assert (denied.rule, denied.severity) == (f"fail-closed.{broke}", Severity.CRITICAL)
    assert court.memory.records[-1]["verdict"]["rule"] == f"fail-closed.{broke}"


def test_a_limit_that_cannot_be_recorded_ends_the_flow_all_the_same(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter, told = court.meter(), list[Any]()

    def broken(*_: object, **__: object) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(firewall.judge, "exceeded", broken)
    meter.spend("sent", 5000, told.append)
    assert told[0].rule == "fail-closed.judge.meter"


class Elsewhere(Ledger):
    """Counts that cannot be reached."""

    def charge(self, dues: Any, charged: Charged, *, anyway: bool = False) -> None:
        assert all(isinstance(each, Due) for each in dues)
        charged(RuntimeError("nobody counts"))


def test_what_cannot_be_counted_is_denied(court: Court) -> None:
    meter, told = court.meter(), list[Any]()
    court.judge.quota = Elsewhere()
    denied = court.decide(get("a.test"))
    assert (denied.allowed, denied.rule) == (False, "fail-closed.judge.quota")
    assert "nobody counts" in denied.reason
    meter._quota = court.judge.quota
    meter.spend("sent", 1, told.append)
    assert told[0].rule == "fail-closed.judge.meter"
    assert court.memory.records[-1]["verdict"]["rule"] == "fail-closed.judge.meter"
