"""The rules that one reading decides: who is busy that nobody declared, and whose egress is denied.

Each takes a scene and yields a sign for everything that it looked at, whether it holds or not.
"""

from collections.abc import Iterator, Sequence

from firewall.gpu.alerts import Denial, Sign
from firewall.gpu.workers import Scene, Worker, names
from firewall.workloads import GpuRule, Workload


def unexpected_process(rule: GpuRule, scene: Scene) -> Iterator[Sign]:
    """Busy processes that are no declared workload."""
    for worker in scene.workers or ():
        found = worker.match
        yield _sign(rule, scene, worker, not found.declared and not found.misplaced)


def unexpected_sandbox(rule: GpuRule, scene: Scene) -> Iterator[Sign]:
    """Busy processes that are a declared workload, but not where it may run."""
    for worker in scene.workers or ():
        yield _sign(rule, scene, worker, worker.match.misplaced)


def _sign(rule: GpuRule, scene: Scene, worker: Worker, wrong: bool) -> Sign:
    return Sign(
        rule=rule,
        device=scene.device,
        subject=worker.subject,
        holds=wrong and worker.busy(rule.utilisation),
        lasting=rule.lasting,
        reason=f"{worker.told(scene.device)}; {worker.match.why_not}",
        processes=(worker.process,),
        evidence={"utilisation": worker.use, "threshold": rule.utilisation},
    )


class WithoutJob:
    """Devices that are busy while none of the workloads declared for them runs there."""

    def __init__(self, workloads: Sequence[Workload]) -> None:
        self._workloads = workloads

    def __call__(self, rule: GpuRule, scene: Scene) -> Iterator[Sign]:
        device, workers = scene.device, scene.workers
        declared = [each.name for each in self._workloads if each.is_on(names(device))]
        if not declared:
            return
        on_it = ", ".join(each.name for each in workers or ()) or "no process that it lists"
        yield Sign(
            rule=rule,
            device=device,
            subject="",
            holds=self._holds(rule, scene),
            lasting=rule.lasting,
            reason=f"GPU {device.index} is busy at {device.utilisation} % while"
            f" {' and '.join(declared)} does not run there; on it is {on_it}",
            processes=tuple(e.process for e in workers or () if e.busy(rule.utilisation)),
            evidence={"utilisation": device.utilisation, "threshold": rule.utilisation},
        )

    def _holds(self, rule: GpuRule, scene: Scene) -> bool | None:
        """A process whose identity is not known may be the job: then nothing is said."""
        workers, use = scene.workers, scene.device.utilisation
        if workers is not None and any(each.match.declared for each in workers):
            return False
        if workers is None or use is None or any(each.match.unsure for each in workers):
            return None
        return use >= rule.utilisation


class Denied:
    """The join: processes that are busy while they, or what shares their sandbox or container, ask
    for egress that is denied or looks like mining."""

    def __init__(self) -> None:
        self._busy: dict[tuple[str, str], float] = {}

    def __call__(self, rule: GpuRule, scene: Scene) -> Iterator[Sign]:
        device = scene.device.uuid or scene.device.index
        for worker in scene.workers or ():
            key = device, worker.subject
            if worker.use is not None and worker.use >= rule.utilisation:
                self._busy[key] = scene.taken
            self._busy.setdefault(key, float("-inf"))
            yield self._sign(rule, scene, worker, self._busy[key])
        if scene.workers is not None:
            alive = {each.subject for each in scene.workers}
            gone = [key for key in self._busy if key[0] == device and key[1] not in alive]
            for key in gone:
                del self._busy[key]

    def _sign(self, rule: GpuRule, scene: Scene, worker: Worker, busy_at: float) -> Sign:
        denials = [each for each in scene.denials if _joins(rule, scene, worker, busy_at, each)]
        last = denials[-1] if denials else None
        told = f"egress ({last.relation(worker.process)}) " if last else ""
        return Sign(
            rule=rule,
            device=scene.device,
            subject=worker.subject,
            holds=bool(denials),
            lasting=rule.lasting,
            reason=f"{worker.told(scene.device)}; {told}met {last.rule}: {last.what}"
            if last
            else "",
            processes=(worker.process,),
            evidence={
                "utilisation": worker.use,
                "threshold": rule.utilisation,
                "denied": [_evidence(each, worker, scene.taken) for each in denials],
            },
        )


def _joins(rule: GpuRule, scene: Scene, worker: Worker, busy_at: float, denial: Denial) -> bool:
    """Where nobody tells how busy the process is, only what looks like mining counts."""
    if scene.taken - denial.at > rule.within or not denial.relation(worker.process):
        return False
    if worker.use is None and denial.critical:
        return worker.busy(rule.utilisation)
    return abs(denial.at - busy_at) <= rule.within


def _evidence(denial: Denial, worker: Worker, now: float) -> dict[str, object]:
    return {
        "rule": denial.rule,
        "reason": denial.reason,
        "what": denial.what,
        "relation": denial.relation(worker.process),
        "seconds_ago": round(now - denial.at, 1),
    }
