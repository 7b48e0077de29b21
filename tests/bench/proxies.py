"""Inspected HTTPS side by side: this firewall and the proxies that are installed, in one run.

    uv run python -m tests.bench.proxies [--rounds 3] [--seconds 3] [--only fast,squid] [--write]

The peers take turns, so that what else the machine does meets them all alike: read the ratios, not
the rates. `direct` is the ceiling of the load generator and the origin (nginx), which share the
machine. With `--write` the table goes to docs/performance.md. Needs a C compiler, OpenSSL's
headers and nginx; Squid (squid-openssl), HAProxy and mitmdump join in where they are installed.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.bench.peers import Peer, Place, peers
from tests.e2e.servers import Certificates, Nginx, wait_for_port

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "performance.md"
BASE = "squid"


@dataclass(frozen=True, slots=True)
class Cell:
    """One workload: so many connections at once, kept or new ones, and what is asked for."""

    name: str
    connections: int
    mode: str
    path: str = "/hello"


CELLS = (
    Cell("kept-alive, 16", 16, "keep"),
    Cell("kept-alive, 128", 128, "keep"),
    Cell("new TLS, 16", 16, "new"),
    Cell("bulk, 1", 1, "keep", "/large"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one cell showed: operations and megabytes a second, CPU seconds, P99 in milliseconds."""

    rate: float
    megabytes: float
    cpu_per_operation: float
    cpu_per_gigabyte: float
    p99: float
    errors: int


def build(folder: Path) -> Path:
    """Compile the load generator."""
    program = folder / "load"
    source = Path(__file__).with_name("load.c")
    subprocess.run(["cc", "-O2", "-o", str(program), str(source), "-lssl", "-lcrypto"], check=True)
    return program


def measure(load: Path, peer: Peer, process: int | None, place: Place, cell: Cell,
            seconds: float) -> Sample:  # fmt: skip
    """Run one cell against one peer."""
    proxied = peer.explicit
    target = (str(peer.port), str(place.port)) if proxied else ("0", str(peer.port))
    asked = (str(place.bundle), cell.path, str(cell.connections), str(seconds), cell.mode)
    with subprocess.Popen(
        [str(load), *target, *asked], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        if running.stdout.readline() != "ready\n":
            raise RuntimeError(f"{peer.name} does not serve {cell.name}: see {peer.log}")
        before = cpu_seconds(process)
        line = running.stdout.readline().split()
        cpu = cpu_seconds(process) - before
    count, took, size, errors, _, p99 = (float(each) for each in line)
    return Sample(
        rate=count / took,
        megabytes=size / took / 1e6,
        cpu_per_operation=cpu / max(1.0, count) * 1e6,
        cpu_per_gigabyte=cpu / max(1.0, size) * 1e9,
        p99=p99,
        errors=int(errors),
    )


def tree(process: int) -> list[int]:
    """A process and all below it."""
    found = [process]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


def cpu_seconds(process: int | None) -> float:
    """Seconds of CPU that a process and its children have used."""
    total = 0
    for each in tree(process) if process else ():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> float:
    """Megabytes that a process and its children hold."""
    pages = 0
    for each in tree(process):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def started(peer: Peer) -> Iterator[int | None]:
    """Start a peer; yields its process."""
    if not peer.command:
        yield None
        return
    environment = {**os.environ, **peer.environment}
    with peer.log.open("w") as log:
        process = subprocess.Popen(peer.command, env=environment, stdout=log, stderr=log)
    try:
        wait_for_port(peer.port)
        yield process.pid
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


type Results = dict[tuple[str, str], list[Sample]]


def run(wanted: list[str], rounds: int, seconds: float) -> tuple[Results, dict[str, float]]:
    """Every peer in every cell, once a round."""
    results: Results = {}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        folder.chmod(0o755)
        certificates = Certificates(folder)
        origin = Nginx(folder, certificates)
        running.callback(origin.close)
        place = Place(folder, origin.https, certificates.authority, trustme.CA())
        load = build(folder)
        known = [each for each in peers(place) if not wanted or each.name in wanted]
        open_peers = [(each, running.enter_context(started(each))) for each in known]
        place.write_bundle(known)
        for number in range(rounds + 1):  # the first round warms up
            for cell in CELLS:
                for peer, process in open_peers:
                    length = seconds if number else 0.5
                    sample = measure(load, peer, process, place, cell, length)
                    if number:
                        results.setdefault((peer.name, cell.name), []).append(sample)
        memory = {peer.name: resident(process) for peer, process in open_peers if process}
    return results, memory


def table(results: Results, memory: dict[str, float]) -> str:
    """Medians by peer and cell, and the median of what each round's is to Squid's in that round."""
    columns = "proxy|cell|operations/s|MB/s|CPU µs per operation|CPU s/GB|P99 ms|errors"
    heads = [*columns.split("|"), f"× {BASE}", "MB held"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (name, cell), samples in results.items():
        rate = statistics.median(each.rate for each in samples)
        base = results.get((BASE, cell), [])
        both = zip(samples, base, strict=False)
        ratios = [ours.rate / each.rate for ours, each in both if each.rate]
        cells = (
            name,
            cell,
            f"{rate:,.0f}",
            f"{statistics.median(each.megabytes for each in samples):,.1f}",
            f"{statistics.median(each.cpu_per_operation for each in samples):,.0f}",
            f"{statistics.median(each.cpu_per_gigabyte for each in samples):.2f}",
            f"{statistics.median(each.p99 for each in samples):,.1f}",
            f"{sum(each.errors for each in samples)}",
            f"{statistics.median(ratios):.2f}" if ratios else "",
            f"{memory.get(name, 0):.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    if shutil.which("cc") is None:
        sys.exit("no C compiler: install gcc and libssl-dev")
    only = [each for each in chosen.only.split(",") if each]
    shown = table(*run(only, chosen.rounds, chosen.seconds))
    print(shown)
    if chosen.write:
        before, mark, _ = TABLE.read_text().partition("<!-- table -->\n")
        TABLE.write_text(before + mark + "\n" + shown)


if __name__ == "__main__":
    main()
