"""What the dashboard shows, from the records as they come; bounded, however many come."""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from firewall.cli import evidence
from firewall.cli.chart import Mark, Sample, told_samples
from firewall.cli.gpu_story import moments
from firewall.cli.lines import part
from firewall.cli.markup import Element, element

ATTEMPTS = 200
ALERTS = 50
WINDOW_SECONDS = 900.0
"""How much of the time line is shown, back from what is newest on it."""

type Record = Mapping[str, Any]
type Frames = Mapping[str, str]
"""The parts of the page by their ids, each as JSON (see Element.tree)."""


@dataclass(slots=True)
class _Attempt:
    number: int
    record: Record
    mark: Mark | None
    frame: str = ""
    """Drawn once, and again when more is known."""

    def draw(self, after: Record | None = None) -> None:
        told = evidence.attempt(self.number, self.record, after, unfolded=False)
        self.frame = _json(told)


@dataclass(slots=True)
class Board:
    """What is newest of a log. For one thread; `since` says from when it counts."""

    since: str
    verification: Element
    trouble: str = ""
    _records: int = 0
    _blocked: int = 0
    _number: int = 0
    _attempts: deque[_Attempt] = field(default_factory=lambda: deque(maxlen=ATTEMPTS))
    _alerts: deque[Record] = field(default_factory=lambda: deque(maxlen=ALERTS))
    _samples: dict[int, dict[float, Sample]] = field(default_factory=dict)
    _told: Any = None

    def remember(self, records: Iterable[Record]) -> None:
        """Take what was recorded before the dashboard started, oldest first; it is not counted."""
        for record in records:
            self._take(record)

    def take(self, record: Record) -> None:
        """Take one more record."""
        self._records += 1
        self._blocked += _is_blocked(record)
        self._take(record)

    def frames(self) -> Frames:
        """The whole page as it is now, the newest attempt last."""
        self._forget_samples()
        for each in self._attempts:
            if not each.frame:
                each.draw()
        parts = {"facts": self._facts(), "verification": self.verification}
        parts |= {"gpus": self._charts(), "alerts": evidence.alerts(reversed(self._alerts))}
        frames = {name: _json(drawn) for name, drawn in parts.items()}
        return frames | {f"attempt-{each.number}": each.frame for each in self._attempts}

    def _take(self, record: Record) -> None:
        self._take_samples(record)
        if _is_blocked(record):
            self._number += 1
            mark = evidence.mark(self._number, record)
            self._attempts.append(_Attempt(self._number, record, mark))
        elif record.get("kind") in evidence.ALERT_KINDS:
            self._alerts.append(record)
        elif followed := set(moments(record)):
            for each in self._attempts:
                if str(part(each.record, "gpu").get("moment")) in followed:
                    each.draw(record)

    def _take_samples(self, record: Record) -> None:
        """Records of the same second tell the same minute, which is read once."""
        history = part(record, "gpu").get("history")
        if not isinstance(history, list) or history[-1:] == self._told:
            return
        self._told = history[-1:]
        for index, sample in told_samples(record):
            self._samples.setdefault(index, {})[sample.at] = sample

    def _forget_samples(self) -> None:
        since = self._newest() - WINDOW_SECONDS
        for index, found in self._samples.items():
            self._samples[index] = {at: each for at, each in found.items() if at >= since}

    def _newest(self) -> float:
        told = [max(found) for found in self._samples.values() if found]
        marked = [each.mark.at for each in self._attempts if each.mark is not None]
        return max([*told, *marked], default=0.0)

    def _facts(self) -> Element:
        counted = f"{self._records:,} records, {self._blocked:,} of them blocked attempts"
        words = [element("p", f"{counted}, since {self.since}")]
        if self.trouble:
            words.append(element("p", element("b", self.trouble, class_="bad")))
        return element("section", *words, id="facts")

    def _charts(self) -> Element:
        since = self._newest() - WINDOW_SECONDS
        marks = [each.mark for each in self._attempts if each.mark and each.mark.at >= since]
        devices = {
            index: [found[at] for at in sorted(found)]
            for index, found in self._samples.items()
            if found
        }
        return evidence.charts(devices, marks)


def _is_blocked(record: Record) -> bool:
    return part(record, "verdict").get("action") == "deny"


def _json(drawn: Element) -> str:
    return json.dumps(drawn.tree(), separators=(",", ":"))
