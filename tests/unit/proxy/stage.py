"""A gate on a thread of its own, with a real policy and everything else in memory."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firewall.actor import Actor, Process
from firewall.deeds import Deed
from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.policy import load_policy
from firewall.proxy.actors import Actors, Endpoint, Transport
from firewall.proxy.flow import Flow
from firewall.proxy.gate import Gate
from firewall.proxy.handover import Handover, Setup
from firewall.proxy.loop import Loop
from firewall.proxy.ways import Road
from tests.waiting import PATIENCE, eventually

CURL = Process(4711, 1.0, "/usr/bin/curl", ("curl", "https://a.test"), 1000)


@dataclass
class Memory:
    """Log, GPU monitor and witness in one. With `full` the log refuses as a full disk does."""

    full: bool = False
    records: list[dict[str, Any]] = field(default_factory=list)

    def append(
        self,
        event: Mapping[str, Any],
        done: Callable[[Exception | None], None] | None = None,
        *,
        urgent: bool = True,
    ) -> None:
        error = OSError(28, "No space left on device") if self.full else None
        if error is None:
            self.records.append(dict(event))
        if done is not None:
            done(error)

    def fresh(self, actor: Actor, done: Callable[[Mapping[str, Any]], None]) -> None:
        done({"status": "unavailable", "reason": "no GPU in this test"})

    def follow(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        """There is no minute after."""

    def verdict(self, event: Mapping[str, Any], seconds: float) -> None:
        """Nobody watches."""

    def verdicts(self) -> list[tuple[str, str]]:
        """Action and rule of each verdict."""
        return [
            (each["verdict"]["action"], each["verdict"]["rule"])
            for each in self.records
            if each["kind"] == "verdict"
        ]


@dataclass
class KnownFinder:
    """Every flow is this process's."""

    process: Process = CURL

    def find(self, flows: Sequence[tuple[Endpoint, Endpoint]], transport: Transport) -> list[Actor]:
        return [Actor("test", self.process)] * len(flows)


@dataclass
class NoDepth:
    """Takes flows in the depth process's place and keeps them open."""

    given: list[Handover] = field(default_factory=list)
    clients: list[socket.socket] = field(default_factory=list)
    told: list[tuple[Deed, ...]] = field(default_factory=list)
    accept: bool = True

    def tell(self, done: tuple[Deed, ...]) -> None:
        self.told.append(done)

    def give(self, flow: Handover, client: socket.socket) -> bool:
        if self.accept:
            self.given.append(flow)
            self.clients.append(client)
        return self.accept

    def update(self) -> None:
        """Nobody to tell."""

    def retire(self) -> None:
        """End every flow, as the process's end does."""
        self.close()

    def close(self) -> None:
        for client in self.clients:
            client.close()


class Stage:
    """The gate under test; `open` begins a flow as if a sandbox had connected."""

    def __init__(self, gate: Gate, memory: Memory, depth: NoDepth) -> None:
        self.gate = gate
        self.memory = memory
        self.depth = depth

    def open(self, host: str, port: int, words: bytes = b"") -> socket.socket:
        """The agent's end of a new flow to host:port, on which it has said these words."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname(), PATIENCE)
            accepted, address = listener.accept()
        client.sendall(words)
        road = Road(address, (host, port), host, port)
        self.gate.loop.post(lambda: self._begin(accepted, road))
        return client

    def _begin(self, accepted: socket.socket, road: Road) -> None:
        flow = Flow(self.gate, 1, accepted, road)
        self.gate._flows.add(flow)
        flow.start()


@contextmanager
def stage(folder: Path, policy: str, process: Process = CURL) -> Iterator[Stage]:
    path = folder / "policy.yaml"
    path.write_text(policy)
    memory, loop, depth = Memory(), Loop(), NoDepth()
    judge = Judge(load_policy(path), memory, memory, memory)
    setup = Setup("", str(folder), "depth-0", str(folder), "")
    gate = Gate(
        loop, judge, memory, Metrics(), setup, Actors("test", KnownFinder(process), loop.post)
    )
    gate.depth = depth  # type: ignore[assignment]
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield Stage(gate, memory, depth)
    finally:
        closed = threading.Event()
        loop.post(gate.close)
        loop.post(closed.set)
        # A test may have ended the loop, which then closes nothing any more.
        eventually(lambda: closed.is_set() or not thread.is_alive())
        loop.stop()
        thread.join(PATIENCE)
        loop.close()
