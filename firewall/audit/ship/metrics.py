"""An exporter's numbers for Prometheus, made anew for each scrape."""

import time
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from firewall.audit.ship.shipper import Progress


class ShipMetrics(Collector):
    """What there is to tell of the exporter `name`."""

    def __init__(self, name: str, progress: Callable[[], Progress]) -> None:
        self._name = name
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        now = self._progress()
        counters = (
            ("records", "Records that the far end has acknowledged", now.records),
            ("errors", "Batches that were not acknowledged, and are sent again", now.errors),
            ("refused", "Records that the far end refused for good", now.refused),
            ("lost", "Records removed before they were shipped", now.lost),
        )
        for name, what, value in counters:
            counter = CounterMetricFamily(f"firewall_ship_{name}", what, labels=("exporter",))
            counter.add_metric((self._name,), value)
            yield counter
        yield from self._gauges(now)

    def _gauges(self, now: Progress) -> Iterator[Metric]:
        backlog = list(now.backlog.values())
        late = 0.0 if now.oldest is None else max(0.0, time.time() - now.oldest)
        gauges = (
            ("lag_records", "Records not yet acknowledged", sum(each for each, _ in backlog)),
            ("lag_bytes", "Their bytes on the disk, about", sum(each for _, each in backlog)),
            ("lag_seconds", "Age of the oldest record not yet acknowledged", late),
            ("acknowledged_timestamp_seconds", "When the far end acknowledged last",
             now.acknowledged),
            ("damaged_chains", "Chains that do not hold and are not shipped on", len(now.damaged)),
        )  # fmt: skip
        for name, what, value in gauges:
            gauge = GaugeMetricFamily(f"firewall_ship_{name}", what, labels=("exporter",))
            gauge.add_metric((self._name,), value)
            yield gauge

    def describe(self) -> Iterator[Metric]:
        """Nothing: what there is changes from scrape to scrape."""
        return iter(())
