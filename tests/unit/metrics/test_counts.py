"""Counting is right from many threads, and no agent can invent a label."""

import subprocess
import sys
import threading
from typing import Any, cast

import pytest

from firewall.metrics import Metrics
from firewall.metrics.counts import VALUES_LIMIT, FlowState
from firewall.requests import (
    Connect,
    Execute,
    HttpRequest,
    Message,
    Protocol,
    Request,
    Resolve,
    SshChannel,
    ToolCall,
)
from firewall.verdict import Action, Verdict
from tests.unit.metrics.events import event

DENY = Verdict(Action.DENY, "guards.mining", "why")


@pytest.mark.parametrize(
    ("request_", "protocol"),
    [
        (Connect("a.test", 443, protocol="tls"), "tls"),
        (Connect("a.test", 443, protocol=cast("Protocol", "x" * 99)), "other"),
        (HttpRequest("GET", "https", "a.test", 443, "/", "a.test"), "https"),
        (Resolve("a.test", "A"), "dns"),
        (Message("a.test", 1, "websocket", "sent", ()), "message"),
        (SshChannel("a.test", 22, "git", "exec"), "ssh"),
        (Execute("/bin/sh", ("sh",), "/"), "exec"),
        (ToolCall("bash", "{}"), "tool"),
        (None, "other"),
    ],
)
def test_a_verdict_is_counted_by_what_was_spoken(request_: Request | None, protocol: str) -> None:
    metrics = Metrics()
    metrics.verdict(event(request_, DENY), 0.001)
    assert metrics.snapshot().verdicts == {("deny", "guards.mining", protocol, "true"): 1}


def test_observed_verdicts_are_apart() -> None:
    metrics = Metrics()
    observed = Verdict(Action.DENY, "default", "why", enforced=False)
    metrics.verdict(event(None, observed), 0.0)
    assert list(metrics.snapshot().verdicts) == [("deny", "default", "other", "false")]


def test_what_failed_closed_is_a_fault_too() -> None:
    metrics = Metrics()
    metrics.verdict(event(None, Verdict(Action.DENY, "fail-closed.dns", "why")), 0.0)
    metrics.fault("dns")
    assert metrics.snapshot().faults == {"dns": 2}


@pytest.mark.parametrize("rule", ["x" * 101, "a\nb", "\x1b[31m", "\udcff"])
def test_a_strange_rule_is_other(rule: str) -> None:
    metrics = Metrics()
    metrics.verdict(event(None, Verdict(Action.DENY, rule, "why")), 0.0)
    assert list(metrics.snapshot().verdicts) == [("deny", "other", "other", "true")]


def test_labels_are_bounded() -> None:
    metrics = Metrics()
    for number in range(VALUES_LIMIT + 500):
        metrics.verdict(event(None, Verdict(Action.DENY, f"rule-{number}", "why")), 0.0)
        metrics.fault(f"point-{number}")
    metrics.flow(cast("FlowState", "made up"), 1)
    now = metrics.snapshot()
    assert len(now.verdicts) == len(now.faults) == VALUES_LIMIT + 1
    assert now.verdicts["deny", "other", "other", "true"] == 500
    assert now.flows == {"other": 1}


def test_gauges_go_up_and_down() -> None:
    metrics = Metrics()
    metrics.flow("relaying", 3)
    metrics.flow("relaying", -2)
    metrics.sandbox(1)
    metrics.sandbox(-1)
    metrics.bytes("sent", 10)
    metrics.bytes("sent", 5)
    metrics.policy("first", "a")
    metrics.policy("second", "b")
    now = metrics.snapshot()
    assert (now.flows, now.sandboxes, now.bytes) == ({"relaying": 1}, 0, {"sent": 15})
    assert now.policy == ("second", "b")


def test_a_snapshot_does_not_change() -> None:
    metrics = Metrics()
    now = metrics.snapshot()
    metrics.append(0.001)
    metrics.verdict(event(None, DENY), 0.001)
    assert (sum(now.appends.counts), sum(now.decisions.counts), now.verdicts) == (0, 0, {})


def test_many_threads_lose_nothing() -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(2000):
            metrics.verdict(event(None, DENY), 0.001)
            metrics.append(0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = metrics.snapshot()
    assert (
        sum(now.verdicts.values()) == sum(now.decisions.counts) == sum(now.appends.counts) == 8000
    )
    assert now.appends.sum == pytest.approx(8.0)


def test_sources_are_asked_for_each_snapshot() -> None:
    states: list[Any] = ["ok", "the disk is full"]
    metrics = Metrics(gpu=lambda: {"status": "ok"}, audit=lambda: states.pop(0))
    assert [metrics.snapshot().audit, metrics.snapshot().audit] == ["ok", "the disk is full"]


def test_counting_does_not_import_the_client() -> None:
    code = (
        "import sys; from firewall.metrics import Metrics; m = Metrics(); m.append(1.0);"
        "m.snapshot(); sys.exit('prometheus_client' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
