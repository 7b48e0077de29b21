"""What the detector is told besides the readings, and what it says: denials and alerts."""

from collections import deque
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from firewall.actor import Actor
from firewall.frozen import frozen
from firewall.gpu.relation import OWN, relation
from firewall.gpu.view import DeviceView, ProcessView
from firewall.workloads import GpuRule

type State = Literal["raised", "ongoing", "cleared"]


@frozen
class Denial:
    """Egress that was refused, or is suspicious. `at` is by the monotonic clock, in seconds.

    The actor's `namespace` is None where it is the whole machine's, which ties nobody to anybody.
    A denial is `critical` where it looks like mining or a tunnel.
    """

    at: float
    rule: str
    reason: str
    what: str
    actor: Actor
    critical: bool = False

    def relation(self, process: ProcessView) -> str:
        """How a process belongs to who asked: "same process", ...; "" where it does not."""
        found = relation(process, self.actor)
        return found if found in OWN else ""


DENIALS_LIMIT = 256
"""Denials of a kind that are remembered; a flood of them says no more than its end."""


class Denials:
    """The last denials, critical ones apart: no flood of others hides one. Any thread may add."""

    def __init__(self) -> None:
        self._plain: deque[Denial] = deque(maxlen=DENIALS_LIMIT)
        self._critical: deque[Denial] = deque(maxlen=DENIALS_LIMIT)

    def add(self, denial: Denial) -> None:
        """Remember one."""
        (self._critical if denial.critical else self._plain).append(denial)

    def all(self) -> list[Denial]:
        """Those that are remembered, oldest first."""
        return sorted((*self._plain, *self._critical), key=lambda each: each.at)

    def take(self) -> list[Denial]:
        """Those that are remembered, and forget them."""
        kinds = (self._plain, self._critical)
        return [each.popleft() for each in kinds for _ in range(len(each))]


@frozen
class Sign:
    """What one reading says about one possible alert.

    `holds` is None where the reading does not tell. `subject` tells it from the same rule's others
    on the device. It must hold for `lasting` seconds before it is an alert.
    """

    rule: GpuRule
    device: DeviceView
    subject: str
    holds: bool | None
    lasting: float
    reason: str = ""
    processes: tuple[ProcessView, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about."""
        return self.rule.name, self.device.uuid or self.device.index, self.subject


@frozen
class Alert:
    """Something about GPU use that a person should know, as one reading changed or confirmed it.

    `number` stays the same from `raised` to `cleared`. `since` is when it was raised, in seconds
    since the epoch. `processes` are whose work it is, () where that is not known; `evidence` is
    JSON-ready.
    """

    number: int
    state: State
    rule: GpuRule
    reason: str
    since: float
    device: DeviceView
    processes: tuple[ProcessView, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
