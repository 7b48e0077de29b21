"""What the person at the terminal is told: live, or in sum at the end."""

import io
from typing import Any

from firewall.audit import describe
from firewall.cli.teller import RECENT, Teller
from firewall.metrics import Metrics
from firewall.requests import Connect, Request, Resolve
from firewall.verdict import Action, Verdict
from tests.waiting import eventually


def _event(
    request: Request, action: Action, reason: str = "why", *, enforced: bool = True
) -> dict[str, Any]:
    verdict = Verdict(action, "some-rule", reason, remedy="do this", enforced=enforced)
    return {
        "request": {"type": type(request).__name__, **describe(request)},
        "verdict": describe(verdict),
        "actor": {"sandbox": "run-1"},
    }


def _told(*events: dict[str, Any], live: bool) -> str:
    out = io.StringIO()
    teller = Teller(Metrics(), live=live, out=out)
    for event in events:
        teller.verdict(event, 0.001)
    teller.summarise("/a log")
    return out.getvalue()


CONNECT = Connect("a.test", 443)


def test_a_run_without_blocks_says_nothing() -> None:
    assert _told(_event(CONNECT, Action.ALLOW), live=False) == ""


def test_the_sum_tells_what_was_blocked_and_how_to_allow_it() -> None:
    told = _told(_event(CONNECT, Action.ALLOW), _event(CONNECT, Action.DENY), live=False)
    first, second, third = told.splitlines()
    assert first == (
        "firewall: 1 requests allowed, 1 blocked; see every one: firewall audit show --log '/a log'"
    )
    assert "DENY" in second
    assert "a.test:443" in second
    assert third == "    to allow it: do this"


def test_what_was_only_observed_is_not_called_blocked() -> None:
    told = _told(_event(CONNECT, Action.DENY, enforced=False), live=False)
    first, second, _ = told.splitlines()
    assert "0 requests allowed, 1 would have been blocked;" in first
    assert "WOULD DENY" in second


def test_repeated_blocks_are_told_once_and_only_the_last_few() -> None:
    events = [_event(CONNECT, Action.DENY, f"reason {n % 8}") for n in range(40)]
    told = _told(*events, live=False)
    assert "40 blocked" in told
    assert told.count("to allow it") == RECENT


def test_live_shows_each_verdict_as_it_is_made_but_no_allowed_questions() -> None:
    question = Resolve("a.test", "A")
    told = _told(
        _event(question, Action.ALLOW),
        _event(CONNECT, Action.ALLOW),
        _event(question, Action.DENY),
        live=True,
    )
    assert [line.split()[1] for line in told.splitlines()[:-1]] == ["ALLOW", "DENY"]


def test_what_cannot_wait_is_said_at_once_and_harms_no_terminal() -> None:
    out = io.StringIO()
    teller = Teller(Metrics(), live=False, out=out)
    teller.say("firewall: run-1: closed \x1b[2J because")
    eventually(out.getvalue)
    assert out.getvalue() == "firewall: run-1: closed \\x1b[2J because\n"
    teller.summarise("/a log")
    assert out.getvalue().count("\n") == 1, "nothing was blocked"


def test_every_verdict_is_counted() -> None:
    metrics = Metrics()
    Teller(metrics, live=False, out=io.StringIO()).verdict(_event(CONNECT, Action.DENY), 0.001)
    assert sum(metrics.snapshot().verdicts.values()) == 1


def test_what_was_left_to_a_person_is_counted_apart() -> None:
    told = _told(
        _event(CONNECT, Action.ASK), _event(CONNECT, Action.ASK, enforced=False), live=False
    )
    first = told.splitlines()[0]
    assert "1 left to a person, 1 would have been left to a person;" in first
    assert "blocked" not in first
