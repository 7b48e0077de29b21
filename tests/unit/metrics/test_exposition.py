"""What Prometheus reads."""

import socket
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from firewall.metrics import Evidence, Metrics, WorkerState
from firewall.metrics.exposition import registry
from firewall.quota import State
from firewall.requests import Connect
from firewall.verdict import Action, Limit, Verdict
from tests.unit.metrics.events import event
from tests.unit.metrics.gpus import snapshot
from tests.waiting import PATIENCE


def shown(metrics: Metrics) -> dict[str, float]:
    """Every sample as it stands in the text: name and labels -> value."""
    found: CollectorRegistry = registry(metrics.snapshot)
    lines = generate_latest(found).decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def busy() -> Metrics:
    workers = WorkerState(1, serves=True, flows=7, restarts=2), WorkerState(2, False, 0, 0)
    metrics = Metrics(gpu=snapshot, audit=lambda: "ok", workers=lambda: workers)
    deny = Verdict(Action.DENY, "guards.mining", "why")
    metrics.verdict(event(Connect("pool.test", 3333, protocol="json-rpc"), deny), 0.00003)
    metrics.verdict(event(None, Verdict(Action.DENY, "fail-closed.dns", "why")), 2.0)
    metrics.append(0.0002)
    metrics.flow("relaying", 2)
    metrics.bytes("sent", 1500)
    metrics.sandbox(1)
    metrics.state("quarantined")
    metrics.policy("coding-agent", "abc")
    return metrics


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        (
            (
                'firewall_verdicts_total{action="deny",enforced="true",protocol="json-rpc",'
                'rule="guards.mining"}'
            ),
            1,
        ),
        ('firewall_faults_total{point="dns"}', 1),
        ('firewall_flow_bytes_total{direction="sent"}', 1500),
        ('firewall_flows{state="relaying"}', 2),
        ("firewall_sandboxes", 1),
        ('firewall_sandbox_state{state="running"}', 0),
        ('firewall_sandbox_state{state="quarantined"}', 1),
        ('firewall_sandbox_state{state="frozen"}', 0),
        ("firewall_audit_state", 1),
        ('firewall_policy_info{digest="abc",name="coding-agent"}', 1),
        ('firewall_decision_seconds_bucket{le="2.5e-05"}', 0),
        ('firewall_decision_seconds_bucket{le="5e-05"}', 1),
        ('firewall_decision_seconds_bucket{le="1.0"}', 1),
        ('firewall_decision_seconds_bucket{le="+Inf"}', 2),
        ("firewall_decision_seconds_count", 2),
        ("firewall_decision_seconds_sum", 2.00003),
        ('firewall_append_seconds_bucket{le="0.00025"}', 1),
        ("firewall_append_seconds_count", 1),
        ("firewall_gpu_available", 1),
        ('firewall_worker_up{worker="1"}', 1),
        ('firewall_worker_up{worker="2"}', 0),
        ('firewall_worker_flows{worker="1"}', 7),
        ('firewall_worker_restarts_total{worker="1"}', 2),
    ],
)
def test_samples(sample: str, value: float) -> None:
    assert shown(busy())[sample] == pytest.approx(value)


def test_the_text_is_what_parsers_take() -> None:
    text = generate_latest(registry(busy().snapshot)).decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"firewall_verdicts", "firewall_decision_seconds", "firewall_gpu_available"} <= names
    assert all(family.startswith(("firewall_", "DCGM_FI_DEV_")) for family in names)


def test_a_log_that_cannot_be_written() -> None:
    assert shown(Metrics(audit=lambda: "the disk is full"))["firewall_audit_state"] == 0


def test_without_sources_there_is_nothing_of_them() -> None:
    samples = shown(Metrics())
    absent = ("gpu", "audit", "policy", "worker")
    assert not [name for name in samples if any(each in name for each in absent)]


def test_it_is_served() -> None:
    metrics = busy()
    port = metrics.serve("127.0.0.1", 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert b'firewall_flows{state="relaying"} 2.0' in answer.read()


def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Metrics().serve("127.0.0.1", taken.getsockname()[1])


def test_alerts_about_gpu_use() -> None:
    metrics = Metrics()
    for state in ("raised", "ongoing", "raised", "cleared"):
        metrics.gpu_alert("gpu.unexpected-process", "warning", state)
    metrics.gpu_response("freeze", "dry-run")
    rule = '{rule="gpu.unexpected-process",severity="warning"}'
    now = shown(metrics)
    assert now[f"firewall_gpu_alerts_total{rule}"] == 2
    assert now[f"firewall_gpu_alerts_active{rule}"] == 1
    assert now['firewall_gpu_responses_total{outcome="dry-run",respond="freeze"}'] == 1


def test_the_log_is_told_as_it_is_and_no_checkpoint_is_no_zero() -> None:
    found = shown(Metrics(evidence=lambda: Evidence(3, signing=False, newest=(7, 12.5))))
    assert found["firewall_audit_queue"] == 3
    assert found["firewall_checkpoint_state"] == 0
    assert found["firewall_checkpoint_number"] == 7
    assert found["firewall_checkpoint_time_seconds"] == 12.5
    fresh = shown(Metrics(evidence=lambda: Evidence(0, signing=True, newest=None)))
    assert not any(name.startswith("firewall_checkpoint_time") for name in fresh)


def test_what_is_left_of_limits_is_the_least_of_all_sandboxes_until_each_ends() -> None:
    limit = Limit("api", "sent", 100, 3600, "host", "100B/h", "p.yaml:7")
    metrics = Metrics()
    forget = metrics.limited(lambda: (State(limit, 20),))
    metrics.limited(lambda: (State(limit, 70),))
    labels = '{measure="sent",per="host",rule="limits.api",seconds="3600"}'
    found = shown(metrics)
    assert (found[f"firewall_limit{labels}"], found[f"firewall_limit_left{labels}"]) == (100, 20)
    forget()
    forget()
    assert shown(metrics)[f"firewall_limit_left{labels}"] == 70
