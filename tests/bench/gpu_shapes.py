"""What work on a GPU looks like once a second, from a seed: training, inference, notebooks, miners.

Figures are made up after how such work behaves: steps with data loading between them, evaluation
and checkpoints that come back, bursts, cells. They are no recordings.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

GIB = 1 << 30
IDLE_WATTS, FULL_WATTS = 110.0, 640.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One second of one process: per cent of the SMs, bytes, and its part of the power in watts."""

    sm: float
    memory: float
    watts: float


type Shape = Callable[[Random], Iterator[Sample]]


def _sample(random: Random, level: float, memory: float) -> Sample:
    sm = min(100.0, max(0.0, random.gauss(level, 2.5 if level > 5 else 0.7)))
    watts = IDLE_WATTS + (FULL_WATTS - IDLE_WATTS) * sm / 100
    return Sample(sm, memory, watts * random.gauss(1.0, 0.02))


def training(random: Random) -> Iterator[Sample]:
    """Steps of some seconds, each with its data loading; evaluation; checkpoints; rare stalls."""
    level, memory = random.uniform(85, 98), random.uniform(20, 60) * GIB
    step, loading = random.uniform(2, 8), random.uniform(0.05, 0.3)
    phases = _phases(random)
    second = 0
    while True:
        second += 1
        name = next(phases)
        if name == "evaluation":
            yield _sample(random, 0.65 * level, memory * 1.01)
        elif name == "checkpoint":
            yield _sample(random, 2, memory)
        elif name == "stall":
            yield _sample(random, 4, memory)
        else:
            waiting = second % step < loading * step
            yield _sample(random, 15 if waiting else level, memory)


def _phases(random: Random) -> Iterator[str]:
    """The phase of each second of a training run."""
    evaluation, lasts = random.randrange(900, 2700), random.randrange(60, 300)
    checkpoint, writes = random.randrange(1200, 3600), random.randrange(10, 60)
    second = stalled = 0
    while True:
        second += 1
        if stalled == 0 and random.random() < 1 / 900:
            stalled = random.randrange(5, 40)
        if second % evaluation > evaluation - lasts:
            yield "evaluation"
        elif second % checkpoint > checkpoint - writes:
            yield "checkpoint"
        elif stalled:
            stalled -= 1
            yield "stall"
        else:
            yield "steps"


def inference(random: Random) -> Iterator[Sample]:
    """Requests in bursts, at a rate that changes every half hour."""
    memory, quiet = random.uniform(10, 70) * GIB, random.uniform(10, 60)
    while True:
        if random.random() < 1 / 1800:
            quiet = random.uniform(5, 120)
        for _ in range(int(random.expovariate(1 / quiet)) + 1):
            yield _sample(random, 1, memory)
        level = random.uniform(30, 95)
        for _ in range(random.randrange(2, 60)):
            yield _sample(random, level, memory)


def notebook(random: Random) -> Iterator[Sample]:
    """Cells of seconds to minutes, and long thinking between them; memory only grows."""
    memory = 2.0 * GIB
    while True:
        for _ in range(int(random.expovariate(1 / 300)) + 1):
            yield _sample(random, 0, memory)
        memory = min(60 * GIB, memory + random.uniform(0, 2) * GIB)
        level = random.uniform(20, 100)
        for _ in range(random.randrange(5, 300)):
            yield _sample(random, level, memory)


def miner(random: Random) -> Iterator[Sample]:
    """A flat load without any phase."""
    level, memory = random.uniform(94, 100), random.uniform(3, 6) * GIB
    hunger = random.uniform(0.8, 1.05)
    while True:
        sample = _sample(random, level, memory)
        yield Sample(sample.sm, sample.memory, sample.watts * hunger)


def diverted(part: float, *, memory: bool) -> Callable[[Sample, Sample], Sample]:
    """A job that gives a part of the device to a miner in its own process.

    Without `memory` the miner makes do with what the job has already."""

    def mix(job: Sample, mining: Sample) -> Sample:
        return Sample(
            (1 - part) * job.sm + part * mining.sm,
            job.memory + (mining.memory if memory else 0),
            (1 - part) * job.watts + part * mining.watts,
        )

    return mix
