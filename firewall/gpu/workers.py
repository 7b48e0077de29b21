"""The processes of one device as the rules see them: how busy, and which declared workload."""

import time
from collections.abc import Sequence
from pathlib import PurePath

from firewall.frozen import frozen
from firewall.gpu.alerts import Denial
from firewall.gpu.view import DeviceView, GpuView, ProcessView
from firewall.workloads import Match, Use, Workload, match


@frozen
class Worker:
    """One process on one device.

    `use` is its per cent of the device, or the whole device's where that is all that is told;
    `match` says which declared workload it is.
    """

    process: ProcessView
    use: int | None
    match: Match

    @property
    def subject(self) -> str:
        """Tells it from every other process there ever was."""
        return f"{self.process.pid}@{self.process.started}"

    @property
    def name(self) -> str:
        """As lines show processes: python3[4711]."""
        return f"{PurePath(self.process.exe or '?').name}[{self.process.pid}]"

    def busy(self, threshold: int) -> bool:
        """Whether it works, or may: use that nobody tells is not idleness."""
        if self.use is None:
            return "compute" in self.process.kind
        return self.use >= threshold

    def told(self, device: DeviceView) -> str:
        """What it does, in words."""
        if self.use is None:
            return f"{self.name} holds GPU {device.index}, which does not tell its use"
        whole = " as a whole" if self.process.sm is None else ""
        return f"{self.name} uses GPU {device.index}{whole} at {self.use} %"


@frozen
class Scene:
    """One device in one reading, and the denials of late. `workers` is None where its processes
    could not be listed. `taken` is by the monotonic clock."""

    device: DeviceView
    workers: tuple[Worker, ...] | None
    taken: float
    denials: Sequence[Denial] = ()

    def of(self, workload: Workload) -> tuple[Worker, ...]:
        """The workers that are one workload."""
        return tuple(each for each in self.workers or () if each.match.declared is workload)


def names(device: DeviceView) -> tuple[str, ...]:
    """What workloads may call a device."""
    return tuple(name for name in (device.index, device.uuid) if name)


def scene(
    device: DeviceView, view: GpuView, workloads: Sequence[Workload], denials: Sequence[Denial]
) -> Scene:
    """One device of a reading, its processes compared with the declared workloads."""
    if device.processes is None:
        return Scene(device, None, view.taken, denials)
    now = time.localtime(view.at)
    minute = 60 * now.tm_hour + now.tm_min
    living = (each for each in device.processes if not each.ended)
    workers = tuple(_worker(each, device, workloads, minute) for each in living)
    return Scene(device, workers, view.taken, denials)


def _worker(
    process: ProcessView, device: DeviceView, workloads: Sequence[Workload], minute: int
) -> Worker:
    use = device.utilisation if process.sm is None else process.sm
    return Worker(process, use, match(workloads, _use(process, device, minute)))


def _use(process: ProcessView, device: DeviceView, minute: int) -> Use:
    return Use(
        program=process.exe,
        arguments=" ".join(process.argv[1:]) if process.argv else None,
        container=process.container,
        sandbox=process.sandbox,
        uid=process.uid,
        devices=names(device),
        minute=minute,
    )
