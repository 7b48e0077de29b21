"""What a receiver of logs has to tell Prometheus, made anew for each scrape."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from firewall.audit.ingest.receiver import Tally


class IngestMetrics(Collector):
    """The numbers of each source."""

    def __init__(self, tally: Callable[[], Tally]) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        now = self._tally()
        records = CounterMetricFamily(
            "firewall_ingest_lines", "Lines received, repeated ones too", labels=("source",)
        )
        for source, count in list(now.records.items()):
            records.add_metric((source,), count)
        alarms = CounterMetricFamily(
            "firewall_ingest_alarms", "What a person must look at", labels=("source", "kind")
        )
        for labels, count in list(now.alarms.items()):
            alarms.add_metric(labels, count)
        seen = GaugeMetricFamily(
            "firewall_ingest_seen_timestamp_seconds", "When it was heard last", labels=("source",)
        )
        for source, moment in list(now.seen.items()):
            seen.add_metric((source,), moment)
        verified = GaugeMetricFamily(
            "firewall_ingest_verified_checkpoint", "The newest checked", labels=("source",)
        )
        for source, number in list(now.verified.items()):
            verified.add_metric((source,), number)
        yield from (records, alarms, seen, verified)
        yield GaugeMetricFamily(
            "firewall_ingest_held", "Lines that wait for those before them", now.held
        )

    def describe(self) -> Iterator[Metric]:
        """Nothing: what there is changes from scrape to scrape."""
        return iter(())
