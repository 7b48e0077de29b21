"""One process beside several: what `--workers` brings, and what it costs.

    uv run python -m tests.bench.workers [--rounds 5] [--seconds 2] [--workers 2]

Both take turns, each process with as many connections, so that what else the machine does meets
them alike. Rates are told as the ratio of a pair of turns. Generator and origin share the cores
with the firewall, so they bound it: CPU per operation, and each process's share of it, say what
more cores would bring.
Needs a C compiler, OpenSSL's headers and nginx.
"""

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import trustme

from tests.bench import passthrough, peers, proxies
from tests.bench.proxies import Cell, cpu_seconds, resident, started
from tests.e2e.servers import Certificates, Nginx

ROOT = Path(__file__).parents[2]
INSPECTED = (
    Cell("kept-alive, 8 each", 8, "keep"),
    Cell("kept-alive, 64 each", 64, "keep"),
    Cell("new TLS, 8 each", 8, "new"),
)
PASSED = (8, 64)
"""New connections at once, for each process."""


type Measure = Callable[[], tuple[float, float]]
"""Loads a firewall for a while; returns operations a second and the CPU microseconds of each."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Operations a second, CPU microseconds of each, and the CPU seconds of each process."""

    rate: float
    cpu: float
    shares: dict[int, float]


@dataclass(frozen=True, slots=True)
class Load:
    """Something that one and several are measured at, both as (process, a turn of it)."""

    name: str
    one: tuple[int, Measure]
    several: tuple[int, Measure]


def turn(process: int, measure: Measure) -> Turn:
    before = _each(process)
    rate, cpu = measure()
    return Turn(rate, cpu, {pid: used - before.get(pid, 0) for pid, used in _each(process).items()})


def _each(process: int) -> dict[int, float]:
    """The CPU seconds of a process and of each of its children."""
    pids = proxies.tree(process)
    return {pid: cpu_seconds(pid) - sum(map(cpu_seconds, proxies.tree(pid)[1:])) for pid in pids}


@contextlib.contextmanager
def _inspected(workers: int, seconds: float) -> Iterator[list[Load]]:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        folder.chmod(0o755)
        certificates = Certificates(folder)
        origin = Nginx(folder, certificates)
        running.callback(origin.close)
        place = peers.Place(folder, origin.https, certificates.authority, trustme.CA())
        program = proxies.build(folder)
        both = [peers.ours(place, f"of {each}", "fast", "--workers", str(each))
                for each in (1, workers)]  # fmt: skip
        pids = [running.enter_context(started(each)) for each in both]
        place.write_bundle(both)

        def made(which: int, cell: Cell) -> tuple[int, Measure]:
            process = pids[which]
            assert process is not None

            def measure() -> tuple[float, float]:
                mine = replace(cell, connections=cell.connections * (1, workers)[which])
                sample = proxies.measure(program, both[which], process, place, mine, seconds)
                return sample.rate, sample.cpu_per_operation

            return process, measure

        yield [Load(each.name, made(0, each), made(1, each)) for each in INSPECTED]


@contextlib.contextmanager
def _passed(workers: int, seconds: float) -> Iterator[list[Load]]:
    with passthrough.opened() as place:
        relays = [place.firewall(f"of-{each}", ROOT, "--workers", str(each))
                  for each in (1, workers)]  # fmt: skip

        def made(which: int, at_once: int) -> tuple[int, Measure]:
            process = relays[which].process
            assert process is not None

            def measure() -> tuple[float, float]:
                connections = at_once * (1, workers)[which]
                rate, cpu, _ = place.measure(relays[which], "new", connections, seconds)
                return rate, cpu

            return process, measure

        yield [
            Load(f"passed through, new {each} each", made(0, each), made(1, each))
            for each in PASSED
        ]


def show(load: Load, pairs: list[tuple[Turn, Turn]]) -> None:
    ratio = statistics.median(several.rate / one.rate for one, several in pairs)
    cpu = [statistics.median(each[which].cpu for each in pairs) for which in (0, 1)]
    dearer = statistics.median(several.cpu / one.cpu for one, several in pairs)
    used = [
        sum(each[1].shares.get(pid, 0) for each in pairs) for pid in proxies.tree(load.several[0])
    ]
    shares = ", ".join(f"{100 * each / max(sum(used), 0.01):.0f}%" for each in used)
    print(
        f"{load.name:28} {ratio:5.2f} x   {cpu[0]:6.0f} -> {cpu[1]:6.0f} µs ({dearer:4.2f} x)"
        f"   {shares}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    print("rate of several to one, CPU of an operation, and who used it: gate, depth, workers")
    for opened in (_inspected, _passed):
        with opened(chosen.workers, chosen.seconds) as loads:
            for load in loads:
                pairs = [(turn(*load.one), turn(*load.several)) for _ in range(chosen.rounds + 1)]
                show(load, pairs[1:])  # the first warms up
            held = [resident(loads[0].one[0]), resident(loads[0].several[0])]
            print(f"held: {held[0]:.0f} MB by one, {held[1]:.0f} MB by {chosen.workers}")


if __name__ == "__main__":
    main()
