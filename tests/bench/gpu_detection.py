"""How often the GPU alerts are wrong, and how long until they see a diversion, on simulated work.

    uv run python -m tests.bench.gpu_detection            # writes the tables of docs/gpu.md
    uv run python -m tests.bench.gpu_detection --seeds 3 --print

Each seed is another job. What is measured is the detector that runs in the firewall, with default
thresholds, fed one reading a second.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median

from firewall.actor import Actor, Process
from firewall.gpu.alerts import Denial
from firewall.gpu.detector import Detector
from firewall.gpu.view import DeviceView, GpuView, ProcessView
from firewall.workloads import DEFAULTS, Band, GpuPolicy, GpuRule, Workload
from tests.bench.gpu_shapes import Sample, Shape, diverted, inference, miner, notebook, training

DOCS = Path(__file__).parents[2] / "docs" / "gpu.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

JOB = ProcessView(100, 1.0, "/usr/bin/python3", ("python3", "train.py"), 0, "", "", 1)
MINER = replace(JOB, pid=200, started=2.0, exe="/tmp/x", argv=("x",))
DECLARED = Workload("job", program="*/python*", arguments="*train.py*", utilisation=Band(50, 100))
UNBANDED = replace(DECLARED, utilisation=None)
WATCHED = 1800
"""Seconds after which an attack that is not seen counts as missed."""

type Reading = tuple[GpuView, Sequence[Denial]]


@dataclass(frozen=True, slots=True)
class Attack:
    """What happens after the baseline is learned: job and miner of each second become processes."""

    name: str
    shown: Callable[[Sample, Sample], tuple[tuple[ProcessView, Sample], ...]]
    denied: bool = False


def beside(job: Sample, mining: Sample) -> tuple[tuple[ProcessView, Sample], ...]:
    """The miner is a process of its own, and both share the device."""
    slower = replace(job, sm=job.sm / 2, watts=job.watts / 2)
    return (JOB, slower), (MINER, replace(mining, sm=mining.sm / 2, watts=mining.watts / 2))


def instead(job: Sample, mining: Sample) -> tuple[tuple[ProcessView, Sample], ...]:
    """The job has ended."""
    return ((MINER, mining),)


def mimicking(job: Sample, mining: Sample) -> tuple[tuple[ProcessView, Sample], ...]:
    """A miner in the job's process that repeats the job's every move: all of it is diverted."""
    return ((JOB, job),)


def inside(part: int, *, memory: bool = False) -> Attack:
    """Some per cent of the job's device are diverted in the job's own process."""
    mix = diverted(part / 100, memory=memory)
    held = ", holding memory of its own" if memory else ""
    name = f"{part} % diverted in the job's process{held}"
    return Attack(name, lambda job, mining: ((JOB, mix(job, mining)),))


ATTACKS = (
    Attack("miner beside the job", beside),
    Attack("miner after the job has ended", instead),
    *map(inside, (5, 10, 25, 50, 100)),
    inside(5, memory=True),
    Attack("miner that mimics the job", mimicking),
    Attack("the same, asking for a pool that is denied", mimicking, denied=True),
)
BENIGN: dict[str, tuple[Shape, Workload]] = {
    "training": (training, DECLARED),
    "inference": (inference, UNBANDED),
    "notebook": (notebook, UNBANDED),
}


def reading(second: int, processes: Iterable[tuple[ProcessView, Sample]]) -> GpuView:
    """One second as the sampler tells it."""
    shown = tuple(
        replace(process, sm=round(each.sm), memory_used=round(each.memory))
        for process, each in processes
    )
    use = min(100, sum(each.sm or 0 for each in shown))
    watts = sum(each.watts for _, each in processes)
    device = DeviceView("0", "GPU-0", "simulated", False, use, power_watts=watts, processes=shown)
    return GpuView(1_700_000_000.0 + second, float(second), (device,))


def benign(shape: Shape, seed: int, seconds: int) -> Iterator[Reading]:
    """Honest work."""
    for second, sample in zip(range(seconds), shape(Random(seed)), strict=False):
        yield reading(second, ((JOB, sample),)), ()


def attacked(attack: Attack, seed: int, begins: int) -> Iterator[Reading]:
    """Training, and from `begins` on an attack; where it is denied, it asks once a minute."""
    works = zip(training(Random(seed)), miner(Random(seed + 1)), strict=False)
    for second, (job, mining) in zip(range(begins + WATCHED), works, strict=False):
        if second < begins:
            yield reading(second, ((JOB, job),)), ()
        else:
            asks = attack.denied and (second - begins) % 60 == 0
            yield reading(second, attack.shown(job, mining)), (_denial(second),) if asks else ()


def _denial(second: int) -> Denial:
    process = Process(JOB.pid, 1.0, "/usr/bin/python3", JOB.argv, 0)
    actor = Actor("run-1", process, container="")
    return Denial(second, "guards.mining", "stratum-v1", "Connect pool:3333", actor, critical=True)


def alarms(
    readings: Iterable[Reading], workload: Workload, rules: Sequence[GpuRule]
) -> Iterator[tuple[int, str]]:
    """The second and the rule of every alert that is raised."""
    detector = Detector(GpuPolicy((workload,), tuple(rules)))
    for view, denials in readings:
        for alert in detector.see(view, denials):
            if alert.state == "raised":
                yield round(view.taken), alert.rule.name


def false_alarms(
    name: str, seeds: int, seconds: int, rules: Sequence[GpuRule] = DEFAULTS
) -> Counter[str]:
    """How often each rule was wrong about one kind of honest work."""
    shape, workload = BENIGN[name]
    found: Counter[str] = Counter()
    for seed in range(seeds):
        found.update(rule for _, rule in alarms(benign(shape, seed, seconds), workload, rules))
    return found


def delays(attack: Attack, seeds: int, rules: Sequence[GpuRule] = DEFAULTS) -> dict[str, list[int]]:
    """Seconds until each rule saw the attack, for the seeds where it did; "any" is the first."""
    warm_up = max(rule.warm_up for rule in rules)
    found: dict[str, list[int]] = {"any": []}
    for seed in range(seeds):
        begins = warm_up + 900 + Random(seed).randrange(1800)
        first: dict[str, int] = {}
        for second, rule in alarms(attacked(attack, 2 * seed, begins), DECLARED, rules):
            if second >= begins:
                first.setdefault(rule, second - begins)
        for rule, delay in first.items():
            found.setdefault(rule, []).append(delay)
        found["any"] += [min(first.values())] if first else []
    return found


def tables(seeds: int, hours: int) -> str:
    """Both tables, in Markdown."""
    names = [rule.name for rule in DEFAULTS]
    line = "|---" * (len(names) + 2) + "|"
    rows = [f"| false alarms an hour | {' | '.join(names)} | all |", line]
    for kind in BENIGN:
        counts = false_alarms(kind, seeds, 3600 * hours)
        rates = [counts[name] / (seeds * hours) for name in names]
        cells = " | ".join(_rate(each) for each in (*rates, sum(rates)))
        rows.append(f"| {kind} | {cells} |")
    rows += ["", f"| seen, and after (median) | {' | '.join(names)} | any |"]
    rows.append(line)
    for attack in ATTACKS:
        found = delays(attack, seeds)
        cells = " | ".join(_seen(found.get(name, []), seeds) for name in (*names, "any"))
        rows.append(f"| {attack.name} | {cells} |")
    return "\n".join(rows)


def _rate(value: float) -> str:
    return f"{value:.2f}" if value else "0"


def _seen(found: Sequence[int], seeds: int) -> str:
    return f"{100 * len(found) // seeds} %, {median(found):.0f} s" if found else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="jobs of each kind")
    parser.add_argument("--hours", type=int, default=6, help="hours of honest work of each job")
    parser.add_argument("--print", action="store_true", help="print the tables, write nothing")
    asked = parser.parse_args()
    made = tables(asked.seeds, asked.hours)
    if asked.print:
        sys.stdout.write(f"{made}\n")
        return
    before, _, rest = DOCS.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    told = f"{asked.seeds} jobs of each kind, {asked.hours} hours of honest work each."
    DOCS.write_text(f"{before}{BEGIN}\n{told}\n\n{made}\n{END}{after}")


if __name__ == "__main__":
    main()
