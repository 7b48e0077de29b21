"""Flows passed through unread, side by side: this firewall, a bare Python relay, and no proxy.

    uv run python -m tests.bench.passthrough [--rounds 5] [--seconds 2] [--other CHECKOUT]
        [--peers]

They take turns, so that what else the machine does meets them all alike: read the ratios, not the
rates. Ours judges, writes its durable record and counts. `--other` measures the firewall of another
checkout too (one with a virtual environment), for before and after, `--peers` the policy proxies
that are here (tunnels.py). Needs a C compiler.
"""

import argparse
import contextlib
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.bench.proxies import cpu_seconds, resident
from tests.bench.tunnels import tunnellers
from tests.e2e.servers import free_port, wait_for_port

POLICY = """
version: 1
name: bench
network:
  names: {{origin.test: 127.0.0.1}}
  rules:
    - {{name: web, allow: https, hosts: [origin.test], ports: {ports}, tls: passthrough,
       addresses: [127.0.0.1/32]}}
"""
CELLS = (("new", 16), ("new", 128), ("ping", 1), ("bulk", 1), ("bulk", 8))
IDLE = 2000
WARM_S = 0.5


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay, its process and the port it listens at; no process means straight to the origin."""

    name: str
    process: int | None
    port: int


def _hello() -> bytes:
    """A ClientHello as Python's own TLS sends it."""
    sent = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="origin.test").do_handshake()
    return sent.read()


class Place:
    """The load generator, its origin, and what is measured."""

    def __init__(self, folder: Path, running: contextlib.ExitStack) -> None:
        self.folder, self._running = folder, running
        self._program, self._hello = folder / "tunnel", folder / "hello"
        source = Path(__file__).with_name("tunnel.c")
        subprocess.run(["cc", "-O2", "-o", str(self._program), str(source)], check=True)
        self._hello.write_bytes(_hello())
        self._answers, self._streams = free_port(), free_port()
        self.start("origin", [str(self._program), "origin", str(self._answers), str(self._streams)])
        wait_for_port(self._answers)

    def start(self, name: str, command: list[str], checkout: Path | None = None) -> int:
        """Start a process that ends with the run; returns its number."""
        environment = {**os.environ, "FIREWALL_STATE": str(self.folder / name)}
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=checkout, stdout=log, stderr=log
            )
        self._running.callback(process.wait)
        self._running.callback(process.kill)
        return process.pid

    def bare(self) -> Relay:
        port, script = free_port(), Path(__file__).with_name("bare.py")
        process = self.start("bare", [sys.executable, str(script), str(port)])
        wait_for_port(port)
        return Relay("bare", process, port)

    def firewall(self, name: str, checkout: Path, *more: str) -> Relay:
        port, policy = free_port(), self.folder / "policy.yaml"
        policy.write_text(POLICY.format(ports=[self._answers, self._streams]))
        python = str(checkout / ".venv" / "bin" / "python")
        command = [python, "-m", "firewall.cli", "serve", "--policy", str(policy)]
        process = self.start(name, [*command, "--listen", f"127.0.0.1:{port}", *more], checkout)
        wait_for_port(port)
        return Relay(name, process, port)

    def peers(self) -> Iterator[Relay]:
        own = trustme.CA()
        authority = own.private_key_pem.bytes() + own.cert_pem.bytes()
        for each in tunnellers(self.folder, authority):
            process = self.start(each.name, each.command)
            wait_for_port(each.port)
            yield Relay(each.name, process, each.port)

    def measure(self, relay: Relay, mode: str, connections: int, seconds: float) -> list[float]:
        """The rate (per second; MB/s of bulk), CPU (µs each; s/GB) and P50 in milliseconds."""
        before = cpu_seconds(relay.process)
        done = subprocess.run(
            [*self._load(relay, mode, connections), str(seconds)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        cpu = cpu_seconds(relay.process) - before
        count, took, size, errors, p50, _ = map(float, done.stdout.split())
        if errors:
            print(f"{relay.name}, {mode} {connections}: {errors:.0f} errors", file=sys.stderr)
        if mode == "bulk":
            return [size / took / 1e6, cpu / max(1.0, size) * 1e9, 0.0]
        return [count / took, cpu / max(1.0, count) * 1e6, p50]

    def idle(self, relay: Relay) -> float:
        """Kilobytes that the relay holds for each idle flow."""
        if relay.process is None:
            return 0.0
        self.measure(relay, "new", 16, WARM_S)  # what is loaded once is not a flow's
        before = resident(relay.process)
        with subprocess.Popen(
            [*self._load(relay, "idle", IDLE), "0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as load:  # fmt: skip
            assert load.stdout is not None
            load.stdout.readline()
            held = resident(relay.process)
            load.kill()
        return (held - before) * 1000 / IDLE

    def _load(self, relay: Relay, mode: str, connections: int) -> list[str]:
        port = self._streams if mode == "bulk" else self._answers
        what = (self._program, mode, relay.port, port, self._hello, connections)
        return [str(each) for each in what]


@contextlib.contextmanager
def opened() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        yield Place(Path(name), running)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--peers", action="store_true")
    chosen = parser.parse_args()
    with opened() as place:
        relays = [Relay("direct", None, 0), place.bare()]
        relays.append(place.firewall("firewall", Path(__file__).parents[2]))
        if chosen.other:
            relays.append(place.firewall("other", chosen.other))
        if chosen.peers:
            relays += place.peers()
        for relay in relays:
            print(f"{relay.name}: {place.idle(relay):.1f} KB for each of {IDLE} idle flows")
        for mode, connections in CELLS:
            rounds = [
                [place.measure(relay, mode, connections, chosen.seconds) for relay in relays]
                for _ in range(chosen.rounds)
            ]
            _show(f"{mode} {connections}", relays, rounds)


def _show(cell: str, relays: list[Relay], rounds: list[list[list[float]]]) -> None:
    """Medians, and the median of each round's ratio to the bare relay."""
    for number, relay in enumerate(relays):
        rate, cpu, p50 = (
            statistics.median(each[number][which] for each in rounds) for which in range(3)
        )
        ratio = statistics.median(each[number][0] / each[1][0] for each in rounds)
        print(
            f"{cell:9} {relay.name:10} {rate:9,.0f} /s or MB/s   {cpu:8.2f} µs each or s/GB"
            f"   P50 {p50:6.3f} ms   {ratio:5.2f} x bare"
        )


if __name__ == "__main__":
    main()
