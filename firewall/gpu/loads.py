"""The rules about how much a declared workload uses: its bands, and what it usually does."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from firewall.gpu.alerts import Sign
from firewall.gpu.baseline import Baseline
from firewall.gpu.view import ProcessView
from firewall.gpu.workers import Scene, Worker
from firewall.workloads import Band, GpuRule, Workload

SETTLED_SECONDS = 10.0
"""How long a median must stay outside: enough not to be raised twice at an edge."""
COVERED = 0.8
"""The part of its time that a window must span, and that must be known of it, to say anything."""

UNITS: Mapping[str, str] = {"utilisation": "%", "memory": "bytes", "power": "W"}


def load(workload: Workload, scene: Scene) -> dict[str, float | None]:
    """What a workload uses of a device: per cent, bytes, and the whole device's watts."""
    mine = scene.of(workload)
    shares = [each.process.sm for each in mine]
    sizes = [each.process.memory_used for each in mine]
    alone = len(mine) == len(scene.workers or ())
    whole = scene.device.utilisation if alone else None
    share = _total(shares)
    return {
        "utilisation": whole if share is None else min(share, 100),
        "memory": _total(sizes),
        "power": scene.device.power_watts,
    }


def _total(values: Sequence[int | None]) -> int | None:
    known = [each for each in values if each is not None]
    return sum(known) if len(known) == len(values) else None


class Window:
    """The readings of the last so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: deque[tuple[float, float | None]] = deque()

    def add(self, taken: float, value: float | None) -> float | None:
        """Take a reading in; the median, or None where too little is known."""
        self._values.append((taken, value))
        while taken - self._values[0][0] > self._seconds:
            self._values.popleft()
        known = [each for _, each in self._values if each is not None]
        spanned = taken - self._values[0][0] >= COVERED * self._seconds
        if value is None or not spanned or len(known) < COVERED * len(self._values):
            return None
        return median(known)


class Bands:
    """Workloads that use more or less than declared, by the median over the rule's time."""

    def __init__(self, workloads: Sequence[Workload]) -> None:
        self._workloads = workloads
        self._windows: dict[tuple[str, str, str], Window] = {}

    def __call__(self, rule: GpuRule, scene: Scene) -> Iterator[Sign]:
        for workload in self._workloads:
            if scene.of(workload):
                yield from self._of(workload, rule, scene)
            elif scene.workers is not None:
                self._forget(workload, scene)

    def _of(self, workload: Workload, rule: GpuRule, scene: Scene) -> Iterator[Sign]:
        used = load(workload, scene)
        for quantity, band in _bands(workload).items():
            key = (workload.name, scene.device.uuid or scene.device.index, quantity)
            window = self._windows.setdefault(key, Window(rule.lasting))
            usual = window.add(scene.taken, used[quantity])
            yield _outside(rule, scene, workload, quantity, usual, band)

    def _forget(self, workload: Workload, scene: Scene) -> None:
        for quantity in UNITS:
            key = (workload.name, scene.device.uuid or scene.device.index, quantity)
            self._windows.pop(key, None)


def _bands(workload: Workload) -> dict[str, Band]:
    written = {
        "utilisation": workload.utilisation, "memory": workload.memory, "power": workload.power
    }  # fmt: skip
    return {quantity: band for quantity, band in written.items() if band is not None}


def _outside(
    rule: GpuRule,
    scene: Scene,
    workload: Workload,
    quantity: str,
    value: float | None,
    band: Band,
) -> Sign:
    unit = UNITS[quantity]
    return Sign(
        rule=rule,
        device=scene.device,
        subject=f"{workload.name} {quantity}",
        holds=None if value is None else not band.holds(value),
        lasting=SETTLED_SECONDS,
        reason=f"{workload.name}: {quantity} of GPU {scene.device.index} is"
        f" {value or 0:.0f} {unit}, declared are {band.least:.0f} to {band.most:.0f}",
        processes=_processes(scene.of(workload)),
        evidence={
            "workload": workload.name,
            "quantity": quantity,
            "median": value,
            "declared": [band.least, band.most],
            "window_seconds": rule.lasting,
        },
    )


def _processes(workers: Sequence[Worker]) -> tuple[ProcessView, ...]:
    return tuple(each.process for each in workers)


@dataclass(slots=True)
class _Job:
    """One run of a workload on a device: its oldest process tells it from other runs."""

    oldest: str
    baselines: dict[str, Baseline] = field(default_factory=dict)


class Shifts:
    """Workloads that no longer do what they usually do."""

    def __init__(self, workloads: Sequence[Workload]) -> None:
        self._workloads = workloads
        self._jobs: dict[tuple[str, str], _Job] = {}

    def __call__(self, rule: GpuRule, scene: Scene) -> Iterator[Sign]:
        for workload in self._workloads:
            workers = scene.of(workload)
            if workers:
                job = self._job(workload, scene, workers)
                for quantity, value in load(workload, scene).items():
                    yield self._sign(rule, scene, workload, job, quantity, value)

    def _job(self, workload: Workload, scene: Scene, workers: Sequence[Worker]) -> _Job:
        key = workload.name, scene.device.uuid or scene.device.index
        oldest = min(workers, key=lambda each: (each.process.started or 0.0, each.process.pid))
        job = self._jobs.get(key)
        if job is None or job.oldest != oldest.subject:
            job = self._jobs[key] = _Job(oldest.subject)
        return job

    def _sign(
        self,
        rule: GpuRule,
        scene: Scene,
        workload: Workload,
        job: _Job,
        quantity: str,
        value: float | None,
    ) -> Sign:
        baseline = job.baselines.setdefault(quantity, Baseline(rule.warm_up, rule.lasting))
        if value is not None:
            baseline.add(scene.taken, value)
        shift = baseline.shift
        unit = UNITS[quantity]
        return Sign(
            rule=rule,
            device=scene.device,
            subject=f"{workload.name} {quantity}",
            holds=None if value is None or shift is None else shift.holds,
            lasting=SETTLED_SECONDS,
            reason=f"{workload.name}: {quantity} of GPU {scene.device.index} has been"
            f" {shift.value:.0f} {unit}, which it was not before (usual: {shift.usual:.0f})"
            if shift
            else "",
            processes=_processes(scene.of(workload)),
            evidence={"workload": workload.name, "quantity": quantity}
            | (
                {
                    "median": round(shift.value, 1),
                    "usual": round(shift.usual, 1),
                    "unusual": round(shift.unusual, 2),
                    "tolerance": round(shift.tolerance, 1),
                }
                if shift
                else {}
            ),
        )
