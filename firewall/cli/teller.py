"""Tells the person at the terminal what was decided: live where asked for, in sum at the end."""

import queue
import shlex
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

from firewall.cli.lines import decision, line, printable
from firewall.metrics import Metrics

_TOLD = {
    "DENY": "blocked",
    "ASK": "left to a person",
    "WOULD DENY": "would have been blocked",
    "WOULD ASK": "would have been left to a person",
}
RECENT = 5
"""Blocked requests that the sum tells of one by one."""
WAITING = 1000
LONG = 2_000
"""Characters of one line that is said; a reason may be long and still be what matters."""
CLOSE_SECONDS = 2.0


class Printer:
    """Prints on a thread of its own, because a terminal may be stopped by whoever shares it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="printer", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Print a line soon; it is left out where too many wait (every record is in the log)."""
        with suppress(queue.Full):
            self._lines.put_nowait(text)

    def close(self) -> None:
        """Print what waits, unless the terminal does not take it."""
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while (text := self._lines.get()) is not None:
            print(text, file=self._out, flush=True)


class Teller:
    """The judge's witness: counts for Prometheus and remembers what a person wants to know.

    Whatever is in `heard` is told of every verdict as well.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        live: bool,
        out: TextIO = sys.stderr,
    ) -> None:
        self._metrics = metrics
        self.heard: list[Callable[[Mapping[str, Any]], None]] = []
        self._out = out
        self._live = live
        self._printer = Printer(out)
        self._lock = threading.Lock()
        self._decisions: Counter[str] = Counter()
        self._blocked: dict[str, Mapping[str, Any]] = {}

    def verdict(self, event: Mapping[str, Any], seconds: float) -> None:
        self._metrics.verdict(event, seconds)
        for heard in self.heard:
            heard(event)
        verdict = event["verdict"]
        blocked = verdict["action"] != "allow"
        if blocked or self._live:
            event = {**event, "time": datetime.now(UTC).isoformat()}
        with self._lock:
            self._decisions[decision(verdict)] += 1
            if blocked:
                self._blocked[f"{verdict['rule']} {verdict['reason']}"] = event
                if len(self._blocked) > RECENT:
                    self._blocked.pop(next(iter(self._blocked)))
        if self._live and not _is_question(event):
            self._printer.say(str(line(event)))

    def say(self, text: str) -> None:
        """Print a line that cannot wait for the end; nothing in it can harm a terminal."""
        self._printer.say(printable(text, LONG))

    def close(self) -> None:
        """Print what waits to be said."""
        self._printer.close()

    def summarise(self, where: str) -> None:
        """Say what was blocked and how to allow it; nothing where nothing was."""
        self.close()
        if not self._blocked:
            return
        counts = [f"{self._metrics.allowed} requests allowed"]
        for what, told in _TOLD.items():
            if count := self._decisions[what]:
                counts.append(f"{count} {told}")
        print(
            f"firewall: {', '.join(counts)}; see every one: firewall audit show --log"
            f" {shlex.quote(where)}",
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
