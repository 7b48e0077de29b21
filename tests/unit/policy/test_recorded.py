"""Requests typed again from records: whole or not at all."""

from typing import Any

import pytest

from firewall.actor import Actor
from firewall.events import Fault
from firewall.policy.recorded import Unplayable, recorded
from firewall.requests import (
    Command,
    Connect,
    Execute,
    Finding,
    Intent,
    Message,
    Opaque,
    Request,
    Resolve,
    SshChannel,
    ToolCall,
)
from firewall.verdict import Action, Obligations, Verdict
from tests.unit.policy.records import AGENT, get, record

FOUND = (Finding("mining", "stratum-v1", "mining.subscribe", "the first line", "likely"),)
RUN = Command(("git", None), ("bash -c",), "/w", (Intent("git.push", "x"),), ("a",), ("b",))
VERDICT = Verdict(
    Action.ALLOW, "web", "it may", obligations=Obligations("passthrough"), policy_digest="d"
)


@pytest.mark.parametrize(
    "request_",
    [
        Connect("a.test", 443, protocol="tls", sni="a.test", alpn=("h2",), findings=FOUND),
        Resolve("a.test", "TXT"),
        get("a.test", "/x?y"),
        Message("a.test", 1, "websocket", "sent", FOUND),
        SshChannel("a.test", 22, "git", "exec", "ls"),
        Execute("/bin/git", ("git",), "/w", commands=(RUN,)),
        ToolCall("Bash", "{}", commands=(RUN,), opaque=(Opaque("deep", "x"),)),
    ],
    ids=lambda request: type(request).__name__,
)
def test_what_was_recorded_comes_back(request_: Request) -> None:
    found = recorded(record(3, request_, VERDICT))
    assert (found.request, found.actor, found.verdict) == (request_, AGENT, VERDICT)
    assert (found.at, found.seconds, found.boot) == ("gate-0:3", 3.0, "b")
    assert hash(found.request) == hash(request_)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"truncated": 2000000}, "too large for one record"),
        ({"request": {"type": "Telepathy"}}, "no request of its kind"),
        ({"request": {"type": ["Connect"]}}, "no request of its kind"),
        ({"request": None}, "no request of its kind"),
        ({"request": {"type": "Resolve", "name": "a"}}, "no Resolve as this version"),
        ({"request": {"type": "Resolve", "name": "a", "kind": "A", "new": 1}}, "no Resolve"),
        ({"actor": {"sandbox": 1}}, "no Actor"),
        ({"verdict": {"action": "perhaps", "rule": "r", "reason": ""}}, "no Verdict"),
    ],
)
def test_what_is_not_whole_says_why(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Unplayable, match=why):
        recorded(record(1, get("a.test"), VERDICT) | change)


def test_a_failure_before_the_request_was_known() -> None:
    with pytest.raises(Unplayable, match="before it knew what was asked"):
        recorded(record(1, Fault("proxy.http", "boom"), VERDICT))


@pytest.mark.parametrize("clock", [None, "now", 10**400])
def test_a_clock_that_is_none(clock: object) -> None:
    assert recorded(record(1, get("a.test"), VERDICT, monotonic_ns=clock)).seconds == 0.0


@pytest.mark.parametrize(
    ("verdict", "who"),
    [
        (VERDICT, ""),
        (Verdict(Action.ALLOW, "r", "odd; approved by ann once", policy_digest="d"), "a person"),
        (Verdict(Action.DENY, "r", "odd; approved by ann once", policy_digest="d"), ""),
        (Verdict(Action.DENY, "fail-closed.dns", "", policy_digest="d"), "a part of the firewall"),
        (Verdict(Action.DENY, "upstream.unreachable", "", policy_digest="d"), "the server"),
        (Verdict(Action.DENY, "quarantine", ""), "no policy was asked .quarantine."),
    ],
)
def test_who_decided(verdict: Verdict, who: str) -> None:
    by = recorded(record(1, get("a.test"), verdict, Actor("s1", unknown="gone"))).decided_by()
    assert by.startswith(who.partition(".")[0])
    assert bool(by) == bool(who)
