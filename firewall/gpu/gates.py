"""From what single readings say to alerts: each raised once, repeated seldom, cleared once.

A level rises while a sign holds and falls four times as slowly while it does not, so that work with
short pauses is still work, and what has stopped is not raised anew with every breath.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from firewall.gpu.alerts import Alert, Sign, State
from firewall.gpu.view import GpuView

FALLS = 4.0
"""How many times as slowly the level falls as it rises."""
STEP_LIMIT = 5.0
"""Seconds that one reading stands for at most: what was not looked at proves nothing."""
REMIND_SECONDS = 600.0
"""How often an alert that goes on is told again."""


@dataclass(slots=True)
class _Gate:
    sign: Sign
    level: float = 0.0
    number: int = 0
    since: float = 0.0
    told: float = 0.0


class Gates:
    """Remembers what is raised. `number` is that of the last alert."""

    def __init__(self, number: int = 0) -> None:
        self._gates: dict[tuple[str, str, str], _Gate] = {}
        self.number = number
        self._last: float | None = None

    def take(self, signs: Iterable[Sign], view: GpuView) -> list[Alert]:
        """The alerts that begin, go on or end with this reading."""
        elapsed = 0.0 if self._last is None else min(view.taken - self._last, STEP_LIMIT)
        self._last = view.taken
        current = {sign.key: sign for sign in signs}
        changed = [self._step(sign, elapsed, view) for sign in current.values()]
        ended = [self._end(key, view) for key in self._gone(current, view)]
        return [alert for alert in (*changed, *ended) if alert is not None]

    def end(self, view: GpuView) -> list[Alert]:
        """Clear all that is raised."""
        ended = [self._end(key, view) for key in tuple(self._gates)]
        return [alert for alert in ended if alert is not None]

    def _step(self, sign: Sign, elapsed: float, view: GpuView) -> Alert | None:
        gate = self._gates.get(sign.key)
        if sign.holds is None or (gate is None and not sign.holds):
            return None
        if gate is None:
            gate = self._gates[sign.key] = _Gate(sign)
        elif sign.holds:
            gate.level, gate.sign = min(gate.level + elapsed, sign.lasting), sign
        else:
            gate.level = max(gate.level - elapsed / FALLS, 0.0)
        return self._told(gate, sign.holds, view)

    def _told(self, gate: _Gate, holds: bool, view: GpuView) -> Alert | None:
        if not gate.number:
            if holds and gate.level >= gate.sign.lasting:
                self.number += 1
                gate.number, gate.since = self.number, view.at
                return self._alert(gate, "raised", view)
            if not holds and gate.level == 0.0:
                del self._gates[gate.sign.key]
        elif not holds and gate.level == 0.0:
            return self._end(gate.sign.key, view)
        elif view.taken - gate.told >= REMIND_SECONDS:
            return self._alert(gate, "ongoing", view)
        return None

    def _gone(
        self, current: Iterable[tuple[str, str, str]], view: GpuView
    ) -> Iterator[tuple[str, str, str]]:
        """What no longer has a subject, as far as the devices say: one that could not list its
        processes says nothing about them."""
        told = {each.uuid or each.index for each in view.devices if each.processes is not None}
        for key in self._gates.keys() - set(current):
            if key[1] in told:
                yield key

    def _end(self, key: tuple[str, str, str], view: GpuView) -> Alert | None:
        gate = self._gates.pop(key)
        return self._alert(gate, "cleared", view) if gate.number else None

    def _alert(self, gate: _Gate, state: State, view: GpuView) -> Alert:
        gate.told = view.taken
        sign = gate.sign
        evidence = {**sign.evidence, "lasted_seconds": round(view.at - gate.since, 1)}
        alert = Alert(gate.number, state, sign.rule, sign.reason, gate.since, sign.device)
        return replace(alert, processes=sign.processes, evidence=evidence)
