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
from firewall.metrics import Metrics
from firewall.metrics.exposition import registry
from firewall.requests import Connect
from firewall.verdict import Action, Verdict
from tests.unit.metrics.events import event

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "firewall.rules.yaml"
ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
DEVICE = {"index": "0", "name": "GPU", "uuid": "GPU-1", "utilisation": 1, "memory_used": 1,
          "memory_total": 2, "power_watts": 3.0}  # fmt: skip


def _exported() -> dict[str, set[str]]:
    """Every metric of a firewall that has seen something, and its labels."""
    metrics = Metrics(gpu=lambda: {"status": "ok", "devices": [DEVICE]}, audit=lambda: "ok")
    metrics.verdict(event(Connect("a.test", 1), Verdict(Action.DENY, "default", "")), 0.1)
    metrics.verdict(event(None, Verdict(Action.DENY, "fail-closed.dns", "")), 0.1)
    metrics.append(0.1)
    shown = registry(metrics.snapshot)
    shown.register(ShipMetrics("siem", Progress))
    tally = Tally(Counter(h=1), Counter({("h", "gap"): 1}), {"h": 1.0})
    shown.register(IngestMetrics(lambda: tally))
    text = generate_latest(shown).decode()
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_asks_for_what_is_exported(alert: dict[str, Any]) -> None:
    exported = _exported()
    asked = re.findall(r"(firewall_\w+)(?:\{([^}]*)\})?", alert["expr"])
    assert asked
    for name, selector in asked:
        assert name in exported
        labels = set(re.findall(r"(\w+)=", selector))
        labels |= set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
        assert labels <= exported[name]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
