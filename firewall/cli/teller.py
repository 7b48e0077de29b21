"""Tells the person at the terminal what was decided: live where asked for, in sum at the end."""

import sys
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from firewall.cli.lines import line
from firewall.metrics import Metrics

RECENT = 5
"""Blocked requests that the sum tells of one by one."""


class Teller:
    """The judge's witness: counts for Prometheus and remembers what a person wants to know."""

    def __init__(self, metrics: Metrics, *, live: bool, out: TextIO = sys.stderr) -> None:
        self._metrics = metrics
        self._live = live
        self._out = out
        self._lock = threading.Lock()
        self._actions: Counter[str] = Counter()
        self._blocked: dict[str, Mapping[str, Any]] = {}

    def verdict(self, event: Mapping[str, Any], seconds: float) -> None:
        self._metrics.verdict(event, seconds)
        event = {**event, "time": datetime.now(UTC).isoformat()}
        verdict = event["verdict"]
        with self._lock:
            self._actions[verdict["action"]] += 1
            if verdict["action"] == "deny":
                self._blocked[f"{verdict['rule']} {verdict['reason']}"] = event
                if len(self._blocked) > RECENT:
                    self._blocked.pop(next(iter(self._blocked)))
        if self._live and not _is_question(event):
            print(line(event), file=self._out, flush=True)

    def summarise(self, where: str) -> None:
        """Say what was blocked and how to allow it; nothing where nothing was."""
        denied = self._actions["deny"]
        if not denied:
            return
        print(
            f"firewall: {self._actions['allow']} requests allowed, {denied} blocked; "
            f"every one is in {where} (firewall audit show)",
            file=self._out,
        )
        for event in () if self._live else self._blocked.values():
            print(f"  {line(event)}", file=self._out)
            if remedy := event["verdict"].get("remedy"):
                print(f"    to allow it: {remedy}", file=self._out)


def _is_question(event: Mapping[str, Any]) -> bool:
    """An allowed DNS question: every name gets an address, so it tells a person nothing."""
    kind, action = event["request"]["type"], event["verdict"]["action"]
    return (kind, action) == ("Resolve", "allow")
