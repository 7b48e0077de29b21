"""What the detector is told besides the readings, and what it says: denials and alerts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from firewall.gpu.reading import STARTED_SLACK
from firewall.gpu.view import DeviceView, ProcessView
from firewall.workloads import GpuRule

type State = Literal["raised", "ongoing", "cleared"]


@dataclass(frozen=True, slots=True)
class Denial:
    """Egress that was refused, or is suspicious. `at` is by the monotonic clock, in seconds.

    `processes` are pid and start time (seconds since the epoch) of who asked and of its ancestors.
    `namespace` is the inode of its network namespace, None where that is the whole machine's. A
    denial is `critical` where it looks like mining or a tunnel.
    """

    at: float
    rule: str
    reason: str
    what: str
    critical: bool = False
    processes: tuple[tuple[int, float], ...] = ()
    sandbox: str = ""
    namespace: int | None = None
    container: str = ""

    def relation(self, process: ProcessView) -> str:
        """How a process belongs to who asked: "same process", ...; "" where it does not."""
        for pid, started in self.processes:
            if pid == process.pid and _is_one(started, process.started):
                return "same process" if pid == self.processes[0][0] else "its ancestor"
        if self.namespace is not None and self.namespace == process.namespace:
            return "same sandbox"
        if self.sandbox and self.sandbox == process.sandbox:
            return "same sandbox"
        if self.container and self.container == process.container:
            return "same container"
        return ""


def _is_one(started: float, other: float | None) -> bool:
    return other is not None and abs(started - other) < STARTED_SLACK


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
