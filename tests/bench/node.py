"""What a node costs: attach time, memory of a sandbox, many at once. As root.

    python -m tests.bench.node [COUNT] [WORKERS]

Makes COUNT processes without a network (1,000), attaches them one after the other and then all at
once from 16 clients, and says what the daemon and its WORKERS (none) took, once all are served:
wall and CPU milliseconds, resident bytes.
"""

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from firewall.node.client import Node
from tests.bench.proxies import tree

CLIENTS = 16
_POLICY = "version: 1\nname: bench\nnetwork: {rules: []}\n"


@contextmanager
def daemon(folder: Path, workers: int) -> Iterator[tuple[int, str]]:
    """A node of its own; its pid and its socket."""
    (folder / "policy.yaml").write_text(_POLICY)
    config, socket = folder / "node.yaml", folder / "node.sock"
    config.write_text(f"version: 1\nsocket: {socket}\npolicies: {{bench: {folder}/policy.yaml}}\n")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "firewall.cli",
            "node",
            "serve",
            "--config",
            str(config),
            "--workers",
            str(workers),
        ],
        env={**os.environ, "FIREWALL_STATE": str(folder / "state")},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "listening" in process.stderr.readline()
    try:
        yield process.pid, str(socket)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def sandboxes(count: int) -> Iterator[list[int]]:
    """Processes that have a network namespace of their own with nothing in it."""
    made: list[int] = []
    try:
        for _ in range(count):
            made.append(_closed())
        yield made
    finally:
        for each in made:
            os.kill(each, signal.SIGKILL)
            os.waitpid(each, 0)


def _closed() -> int:
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.unshare(os.CLONE_NEWNET)
        os.write(told, b"1")
        while True:
            signal.pause()
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    return pid


def of_all(measure: Callable[[int], float], pid: int) -> float:
    """Of a process and its children together."""
    return sum(measure(each) for each in tree(pid))


def resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one_by_one(socket: str, pids: list[int]) -> float:
    """The median of an attach, in milliseconds."""
    times = []
    with Node(socket) as node:
        for pid in pids:
            started = time.perf_counter()
            node.attach(policy="bench", pid=pid)
            times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def all_at_once(socket: str, pids: list[int]) -> float:
    """The seconds until the last of many is attached."""

    def some(mine: list[int]) -> None:
        with Node(socket) as node:
            for pid in mine:
                node.attach(policy="bench", pid=pid)

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(some, [pids[each::CLIENTS] for each in range(CLIENTS)]))
    with Node(socket) as node:
        while not all(each.get("current", True) for each in node.status()):
            time.sleep(0.05)
    return time.perf_counter() - started


def main(count: int, workers: int) -> None:
    few = max(1, count // 10)
    with (
        tempfile.TemporaryDirectory() as folder,
        sandboxes(count + few) as pids,
        daemon(Path(folder), workers) as (pid, socket),
    ):
        print(f"one by one: {one_by_one(socket, pids[:few]):.1f} ms an attach (median of {few})")
        memory, used = of_all(resident, pid), of_all(cpu, pid)
        seconds = all_at_once(socket, pids[few:])
        print(
            f"{count} at once: {seconds:.1f} s,"
            f" {(of_all(cpu, pid) - used) / count * 1000:.1f} ms CPU each"
        )
        held = of_all(resident, pid)
        print(f"memory: {(held - memory) / count / 1024:.0f} KiB a sandbox")
        print(f"in all: {held / 2**20:.0f} MiB resident for {count + few} sandboxes")


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("1000", "1")[len(sys.argv) - 1 :]]))
