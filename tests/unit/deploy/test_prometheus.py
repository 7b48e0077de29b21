"""The alert rules ask only for metrics that the firewall exports, with labels that it sets."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from firewall.audit.ingest import Tally
from firewall.audit.ingest.metrics import IngestMetrics
from firewall.audit.ship import Progress
from firewall.audit.ship.metrics import ShipMetrics
from firewall.fleet.follower import State
from firewall.fleet.metrics import FleetMetrics
from firewall.metrics import Evidence, Metrics, WorkerState
from firewall.metrics.exposition import registry
from firewall.requests import Connect
from firewall.verdict import Action, Verdict
from tests.unit.metrics.events import event
from tests.unit.metrics.gpus import snapshot

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "firewall.rules.yaml"
TESTS = sorted(each.name for each in RULES.parent.glob("*.test.yaml"))
ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
SERIES = r"\b((?:firewall|DCGM)_\w+)(?:\{([^}]*)\})?"
"""A metric that an expression asks for, and its selector."""


def exported() -> dict[str, set[str]]:
    """Every metric of a firewall that has seen something, and its labels."""
    metrics = Metrics(
        gpu=snapshot,
        audit=lambda: "ok",
        evidence=lambda: Evidence(0, signing=True, newest=(1, 2.0)),
        workers=lambda: [WorkerState(1, serves=True, flows=1, restarts=1)],
    )
    metrics.verdict(event(Connect("a.test", 1), Verdict(Action.DENY, "default", "")), 0.1)
    metrics.verdict(event(None, Verdict(Action.DENY, "fail-closed.dns", "")), 0.1)
    metrics.append(0.1)
    metrics.gpu_alert("gpu.unexpected-process", "warning", "raised")
    metrics.gpu_response("freeze", "failed")
    shown = registry(metrics.snapshot)
    shown.register(ShipMetrics("siem", Progress))
    tally = Tally(Counter(h=1), Counter({("h", "gap"): 1}), {"h": 1.0}, {"h": 1})
    shown.register(IngestMetrics(lambda: tally))
    shown.register(FleetMetrics("training", State))
    text = generate_latest(shown).decode()
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def asked(expression: str) -> list[tuple[str, set[str]]]:
    """The metrics that an expression asks for, each with its labels; those of `by` are of all."""
    grouped = {
        name for each in re.findall(r"\bby \(([^)]*)\)", expression) for name in _names(each)
    }
    return [
        (name, set(re.findall(r"(\w+)[!=]", selector)) | grouped)
        for name, selector in re.findall(SERIES, expression)
    ]


def _names(listed: str) -> list[str]:
    return [each.strip() for each in listed.split(",")]


SCRAPED = {"instance"}
"""Labels that Prometheus itself sets."""


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_asks_for_what_is_exported(alert: dict[str, Any]) -> None:
    known = exported()
    wanted = asked(alert["expr"])
    assert wanted
    told = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
    assert told <= set().union(*(known[name] for name, _ in wanted))
    for name, labels in wanted:
        one_of = set().union(*(known[other] for other, _ in wanted))
        assert labels - SCRAPED <= one_of
        assert name in known


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("name", TESTS)
def test_the_alerts_fire_when_they_should(name: str) -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", str(RULES.with_name(name))],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
