"""A worker: a gate in a process of its own, which serves flows beside others like it.

    python -m firewall.proxy.worker FD

FD is this process's end of the SOCK_SEQPACKET channel (handover.py). "begin" brings its duty and
descriptors, "setup" the policy, first and whenever there is another, "listen" a listener. "cut",
"heard" and "conclude" are answered by "done", with their round; "deeds" goes both ways. Back go
"verdict" (each that is no plain allow), "counts" (all the others, from time to time), "current"
(the policy that is in force here), "quarantine", and for the gate to see to, with their sockets,
"flow" and "question". When the channel ends, so does the worker, with all of its flows.
"""

import itertools
import logging
import os
import socket
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from firewall import judge as door
from firewall.gpu import GpuMonitor
from firewall.judge import fail_closed
from firewall.metrics import Metrics
from firewall.metrics.changes import Changes
from firewall.proxy import handover
from firewall.proxy.accepting import Sharing
from firewall.proxy.actors import Actors
from firewall.proxy.actors import Finder as AnyFinder
from firewall.proxy.deputy import Deputy
from firewall.proxy.flow import Flow
from firewall.proxy.gate import Gate, look_for_new_garbage, set_limits
from firewall.proxy.handover import Duty, Handover, Setup
from firewall.proxy.lane.lane import HandOver, Lane
from firewall.proxy.loads import Loads
from firewall.proxy.loop import READ, WRITE, Loop
from firewall.proxy.names import SharedNames
from firewall.proxy.nametable import NameTable
from firewall.proxy.quotalink import WaitingQuota
from firewall.proxy.upward import Upward, Witness
from firewall.proxy.ways import Road
from firewall.verdict import Verdict

COUNT_SECONDS = 0.5
"""How often what was counted is told."""


class Finder(AnyFinder, Protocol):
    """Finds the processes of flows, and can be told to which tool call one belongs."""

    def called(self, pid: int, started: float, call: str) -> None: ...


class Given:
    """What came with the duty: each descriptor by its name."""

    def __init__(self, duty: Duty, fds: dict[str, int]) -> None:
        self.duty = duty
        self.quota = WaitingQuota(socket.socket(fileno=fds["line"]))
        self.loads = Loads.of(fds["loads"])
        self.names = SharedNames(NameTable.of(fds["names"])) if "names" in fds else None
        self.finder = self._finder(fds.get("diag"))

    def _finder(self, diag: int | None) -> Finder:
        """Of a room that this one does not know."""
        module, _, name = self.duty.finder.partition(":")
        kind: Any = getattr(import_module(module), name)
        found: Finder
        if diag is None:
            found = kind.of_host(self.duty.sandbox)
        else:
            place = self.duty.sandbox, self.duty.pid, self.duty.namespace
            found = kind(*place, socket.socket(fileno=diag))
        return found


class WorkerGate(Gate):
    """A gate whose names, loads and depth process are those of all workers."""

    def __init__(
        self,
        loop: Loop,
        deputy: Deputy,
        given: Given,
        witness: Witness,
        metrics: Metrics,
        up: Upward,
    ) -> None:
        duty, judge, setup = given.duty, deputy.judge, deputy.setup

        def lane(hand_over: HandOver) -> Lane:
            place = loop, judge, Path(setup.authority), setup.upstream_ca
            return Lane(*place, hand_over, prefer_http2=duty.inspect == "http2")

        super().__init__(
            loop,
            judge,
            witness,
            metrics,
            setup,
            Actors(duty.sandbox, given.finder, loop.post),
            lane=None if duty.inspect == "depth" else lane,
            numbers=itertools.count(duty.first_flow),
            accepting=Sharing(loop, judge, given.loads, duty.number - 1),
            depth=up,
        )
        self._up = up
        self._given = given
        self._tell_load()

    def name_of(self, address: str) -> str | None:
        names = self._given.names
        return None if names is None else names.name(address)

    def question(self, client: socket.socket, road: Road) -> None:
        self._up.question(client, road)

    def hand_over(self, given: Handover, client: socket.socket) -> bool:
        return self._up.give(given, client)

    def ended(self, flow: Flow) -> None:
        self._flows.discard(flow)
        self._tell_load()

    def _begin(self, client: socket.socket, road: Road) -> None:
        super()._begin(client, road)
        self._tell_load()

    def _tell_load(self) -> None:
        self._given.loads.set(self._given.duty.number - 1, len(self._flows))


class Worker:
    """Serves whatever comes to its listeners until the channel closes."""

    def __init__(self, channel: socket.socket, given: Given, setup: Setup) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._loop = loop = Loop()
        self._up = up = Upward(loop, channel)
        self._given = given
        self._gpu = GpuMonitor(sandboxes=self._sandboxes)
        self._metrics = Metrics()
        self._changes = Changes(self._metrics)
        witness = Witness(up, self._metrics, live=given.duty.live)
        tools = up.send, loop.post, self._metrics.append, loop.gather
        self._deputy = Deputy(setup, self._gpu, witness, given.quota, *tools)
        self._gate = WorkerGate(loop, self._deputy, given, witness, self._metrics, up)
        self._failure: Exception | None = None
        self._told: dict[str, Any] = {}

    def run(self) -> None:
        """Serve; returns when the gate has closed the channel, with every record written.

        Raises what the gate has asked for and could not be done: nothing may go on then.
        """
        self._gpu.start()
        self._loop.watch(self._channel.fileno(), READ, self._ready)
        self._say_what_is_in_force()
        self._count()
        try:
            self._loop.run()
        finally:
            self._stop()
        if self._failure is not None:
            raise self._failure

    def _sandboxes(self) -> dict[int, str]:
        namespace = self._given.duty.namespace
        return {} if namespace is None else {namespace: self._given.duty.sandbox}

    def _stop(self) -> None:
        """Flows first, then what is still to be written and told of them."""
        self._gate.close()
        self._gpu.stop()
        self._deputy.log.close()
        self._up.last("counts", self._counts())

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._up.flush()
        while self._failure is None:
            try:
                message = handover.receive(self._channel)
            except BlockingIOError:
                return
            if message is None:
                break
            self._take(*message)
        self._loop.stop()

    def _take(self, kind: str, body: dict[str, Any], fds: list[int]) -> None:
        def end(verdict: Verdict) -> None:
            self._failure = RuntimeError(verdict.reason)

        with fail_closed(self._deputy.judge, "worker.message", end):
            door.probe("worker.message")
            match kind:
                case "setup":
                    self._renew(handover.decode_setup(body))
                case "listen":
                    self._gate.listen(body["kind"], socket.socket(fileno=fds[0]))
                case "deeds":
                    self._deputy.judge.remember(handover.decode_deeds(body))
                case "called":
                    self._given.finder.called(**body)
                case "cut":
                    self._deputy.impose(handover.decode_verdict(body["shut"]))
                    self._gate.cut(partial(self._done, body["round"]))
                case "heard":
                    self._done(body["round"], 0)
                case "conclude":
                    self._gate.wind_down(partial(self._done, body["round"], 0))
                case _:
                    raise ValueError(f"the gate sent a message of unknown kind {kind!r}")

    def _done(self, number: int, count: int) -> None:
        self._up.send("done", {"round": number, "count": count})

    def _renew(self, setup: Setup) -> None:
        """Another policy, other secrets, or the end of a quarantine."""
        before = self._deputy.judge.policy.digest
        self._deputy.renew(setup)
        self._gate.pin_names()
        policy = self._deputy.judge.policy
        if policy.digest != before:
            self._deputy.judge.note("policy", policy.facts())
        self._say_what_is_in_force()

    def _say_what_is_in_force(self) -> None:
        self._up.send("current", {"digest": self._deputy.judge.policy.digest})

    def _count(self) -> None:
        self._loop.after(COUNT_SECONDS, self._count)
        counts = self._counts()
        if counts != self._told or counts["changes"]:
            self._up.send("counts", counts)
            self._told = counts

    def _counts(self) -> dict[str, Any]:
        log = self._deputy.log
        return {"changes": self._changes.take(), "audit": log.state, "waiting": log.waiting}


def main() -> None:
    """Serve the channel whose descriptor is the first argument."""
    logging.basicConfig(level=logging.WARNING, format="worker: %(levelname)s %(message)s")
    set_limits()
    channel = socket.socket(fileno=int(sys.argv[1]))
    body, fds = _expected(channel, "begin")
    duty = handover.decode_duty(body["duty"])
    given = Given(duty, dict(zip(body["descriptors"], fds, strict=True)))
    setup, _ = _expected(channel, "setup")
    worker = Worker(channel, given, handover.decode_setup(setup))
    look_for_new_garbage()
    worker.run()
    # At once: the gate is gone, and helper threads may still be resolving names.
    os._exit(0)


def _expected(channel: socket.socket, kind: str) -> tuple[dict[str, Any], list[int]]:
    message = handover.receive(channel)
    if message is None:
        raise SystemExit("the gate has ended before it said what is to be done")
    if message[0] != kind:
        raise SystemExit(f"the gate said {message[0]!r} where {kind!r} was due")
    return message[1], message[2]


if __name__ == "__main__":
    main()
