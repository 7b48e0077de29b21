"""What a worker has counted since it last said so, on its way to the process that is scraped.

As JSON can hold it: {"verdicts": [[[action, rule, protocol, enforced], count]], "flows": {state:
change}, "bytes": {direction: count}, "decisions": [[count of each bucket], seconds], "appends":
like them}. Denies are no part of it: they are told one by one, at once.
"""

from collections.abc import Mapping
from typing import Any

from firewall.metrics.counts import Histogram, Metrics


class Changes:
    """What is new in the numbers of one process, each time that it is asked for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before = Metrics().snapshot()

    def take(self) -> dict[str, Any]:
        """What has changed since the last call; nothing where nothing has."""
        before, now = self._before, self._metrics.snapshot()
        self._before = now
        verdicts = _difference(now.verdicts, before.verdicts)
        changes = {
            "verdicts": [[list(key), change] for key, change in verdicts.items()],
            "flows": _difference(now.flows, before.flows),
            "bytes": _difference(now.bytes, before.bytes),
        }
        decisions = _more(now.decisions, before.decisions)
        appends = _more(now.appends, before.appends)
        if not any((*changes.values(), *decisions[0], *appends[0])):
            return {}
        return {**changes, "decisions": decisions, "appends": appends}


def _difference[Key](now: Mapping[Key, int], before: Mapping[Key, int]) -> dict[Key, int]:
    found = {key: count - before.get(key, 0) for key, count in now.items()}
    return {key: change for key, change in found.items() if change}


def _more(now: Histogram, before: Histogram) -> list[Any]:
    counts = [ours - theirs for ours, theirs in zip(now.counts, before.counts, strict=True)]
    return [counts, now.sum - before.sum]
