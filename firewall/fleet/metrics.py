"""What a node's agent has to tell Prometheus, made anew for each scrape."""

import time
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from firewall.fleet.follower import State


class FleetMetrics(Collector):
    """The numbers of one group's follower."""

    def __init__(self, group: str, state: Callable[[], State]) -> None:
        self._group = group
        self._state = state

    def collect(self) -> Iterator[Metric]:
        now = self._state()
        held = now.bundle.version if now.bundle else 0
        behind = sum(each.count for each in now.gates if each.version != held)
        yield self._gauge("bundle_version", "Version of the bundle on the disk, 0: none", held)
        yield self._gauge("gates_behind", "Running gates that judge by another policy", behind)
        yield self._gauge("refusing", "Whether what is offered is refused", bool(now.refused))
        yield self._gauge("contact_seconds", "Since the server took a report", _age(now.contact))
        yield self._counter("taken", "Bundles that were put on the disk", now.taken)
        yield self._counter("refused", "Bundles that were refused", now.refusals)
        yield self._in_force(now)

    def _gauge(self, name: str, what: str, value: float) -> Metric:
        gauge = GaugeMetricFamily(f"firewall_fleet_{name}", what, labels=("group",))
        gauge.add_metric((self._group,), value)
        return gauge

    def _counter(self, name: str, what: str, value: float) -> Metric:
        counter = CounterMetricFamily(f"firewall_fleet_{name}", what, labels=("group",))
        counter.add_metric((self._group,), value)
        return counter

    def _in_force(self, now: State) -> Metric:
        labels = ("group", "version", "digest")
        gauge = GaugeMetricFamily(
            "firewall_fleet_gates", "Running gates, by the policy in force", labels=labels
        )
        for each in now.gates:
            gauge.add_metric((self._group, str(each.version), each.digest), each.count)
        return gauge

    def describe(self) -> Iterator[Metric]:
        """Nothing: what there is changes from scrape to scrape."""
        return iter(())


def _age(moment: float) -> float:
    """Seconds since then; without bound where it never was."""
    return max(0.0, time.time() - moment) if moment else float("inf")
