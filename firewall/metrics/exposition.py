"""The numbers as Prometheus metrics, made anew for each scrape."""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import get_args

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from firewall.metrics.counts import BUCKETS, Evidence, Histogram, SandboxState, Snapshot
from firewall.metrics.gpus import gpus


def serve(snapshot: Callable[[], Snapshot], address: str, port: int) -> int:
    """Answer scrapes at `address`:`port` from a daemon thread; returns the port.

    Raises OSError where the address cannot be bound.
    """
    server, _ = start_http_server(port, address, registry(snapshot))
    return int(server.server_port)


def registry(snapshot: Callable[[], Snapshot]) -> CollectorRegistry:
    """A registry that holds these metrics and no others."""
    result = CollectorRegistry()
    result.register(_Firewall(snapshot))
    return result


class _Firewall(Collector):
    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        now = self._snapshot()
        yield from _counters(now)
        yield _histogram(
            "firewall_decision_seconds", "From a request to its verdict", now.decisions
        )
        yield _histogram("firewall_append_seconds", "From a record to the disk", now.appends)
        yield from _states(now)
        yield from _alerts(now)
        yield from _limits(now)
        if now.workers:
            yield from _workers(now)
        if now.evidence is not None:
            yield from _evidence(now.evidence)
        if now.gpu is not None:
            yield from gpus(now.gpu)

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not take a snapshot."""
        return iter(())


def _counters(now: Snapshot) -> Iterator[Metric]:
    labels = ("action", "rule", "protocol", "enforced")
    verdicts = CounterMetricFamily("firewall_verdicts", "Requests decided", labels=labels)
    for values, count in now.verdicts.items():
        verdicts.add_metric(values, count)
    yield verdicts
    yield _counter(
        "firewall_faults", "Enforcement points that failed, and denied", "point", now.faults
    )
    yield _counter("firewall_flow_bytes", "Bytes that flows carried", "direction", now.bytes)


def _counter(name: str, what: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, what, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family


def _histogram(name: str, what: str, histogram: Histogram) -> Metric:
    bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
    return HistogramMetricFamily(name, what, buckets=buckets, sum_value=histogram.sum)


def _states(now: Snapshot) -> Iterator[Metric]:
    flows = GaugeMetricFamily("firewall_flows", "Flows now open", labels=("state",))
    for state, count in now.flows.items():
        flows.add_metric((state,), count)
    yield flows
    yield GaugeMetricFamily("firewall_sandboxes", "Sandboxes now running", now.sandboxes)
    yield _state(now)
    if now.audit is not None:
        what = "1 while records can be written; else nothing is allowed"
        yield GaugeMetricFamily("firewall_audit_state", what, int(now.audit == "ok"))
    if now.policy is not None:
        name, digest = now.policy
        policy = {"name": name, "digest": digest}
        yield InfoMetricFamily("firewall_policy", "The policy in force", policy)


def _alerts(now: Snapshot) -> Iterator[Metric]:
    rule = ("rule", "severity")
    raised = CounterMetricFamily("firewall_gpu_alerts", "Alerts about GPU use", labels=rule)
    active = GaugeMetricFamily("firewall_gpu_alerts_active", "Those not cleared", labels=rule)
    labels = ("respond", "outcome")
    responses = CounterMetricFamily(
        "firewall_gpu_responses", "What was done about them", labels=labels
    )
    families = ((raised, now.alerts), (active, now.active), (responses, now.responses))
    for family, counts in families:
        for values, count in counts.items():
            family.add_metric(values, count)
        yield family


def _limits(now: Snapshot) -> Iterator[Metric]:
    """Per host, program or sandbox, what is left for whom the least is: none is named, as an agent
    chooses hosts."""
    labels = ("rule", "measure", "seconds", "per")
    what = "What may pass within the time, in bytes or in number"
    most = GaugeMetricFamily("firewall_limit", what, labels=labels)
    left = GaugeMetricFamily("firewall_limit_left", "What is left of it now", labels=labels)
    for values, state in now.limits.items():
        most.add_metric(values, state.limit.amount)
        left.add_metric(values, state.left)
    yield from (most, left)


def _workers(now: Snapshot) -> Iterator[Metric]:
    label = ("worker",)
    up = GaugeMetricFamily("firewall_worker_up", "1 while the worker serves", labels=label)
    flows = GaugeMetricFamily("firewall_worker_flows", "Flows that it has now", labels=label)
    restarts = CounterMetricFamily("firewall_worker_restarts", "Starts anew", labels=label)
    for each in now.workers:
        number = (str(each.number),)
        up.add_metric(number, int(each.serves))
        flows.add_metric(number, each.flows)
        restarts.add_metric(number, each.restarts)
    yield from (up, flows, restarts)


def _evidence(now: Evidence) -> Iterator[Metric]:
    """The audit log. Without a checkpoint there is no number and no time: never a zero."""
    yield GaugeMetricFamily("firewall_audit_queue", "Records that wait for the disk", now.waiting)
    what = "1 while checkpoints can be signed; else nothing proves that the log is whole"
    yield GaugeMetricFamily("firewall_checkpoint_state", what, int(now.signing))
    if now.newest is not None:
        number, time = now.newest
        yield GaugeMetricFamily("firewall_checkpoint_number", "Checkpoints signed", number)
        yield GaugeMetricFamily("firewall_checkpoint_time_seconds", "When the last one was", time)


def _state(now: Snapshot) -> Metric:
    what = "1 for the state that the sandbox is in: running, quarantined or frozen"
    family = GaugeMetricFamily("firewall_sandbox_state", what, labels=("state",))
    for state in get_args(SandboxState.__value__):
        family.add_metric((state,), int(state == now.state))
    return family
