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
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

from firewall import judge as door
from firewall.judge import fail_closed
from firewall.metrics import Metrics
from firewall.proxy import handover
from firewall.proxy.accepting import Sharing
from firewall.proxy.actors import Actors
from firewall.proxy.actors import Finder as AnyFinder
from firewall.proxy.deputy import Deputy
from firewall.proxy.flow import Flow
from firewall.proxy.gate import Gate, keep_what_stands, set_limits
from firewall.proxy.handover import Duty, Handover, Setup
from firewall.proxy.lane.lane import HandOver, Lane
from firewall.proxy.loads import Loads
from firewall.proxy.loop import READ, WRITE, Loop
from firewall.proxy.names import SharedNames
from firewall.proxy.nametable import NameTable
from firewall.proxy.quotalink import WaitingQuota
from firewall.proxy.shop import Shop
from firewall.proxy.upward import Upward, Witness
from firewall.proxy.ways import Road
from firewall.verdict import Verdict


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

    def close(self) -> None:
        """Give up what is shared with the gate."""
        self.quota.close()
        self.loads.close()
        if self.names is not None:
            self.names.close()


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
        self._asking: WeakSet[socket.socket] = WeakSet()  # of clients that are no flows yet
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

    def _explicit(self, client: socket.socket, address: Any) -> None:
        self._asking.add(client)
        self._tell_load()
        super()._explicit(client, address)

    def _begin(self, client: socket.socket, road: Road) -> None:
        self._asking.discard(client)
        super()._begin(client, road)
        self._tell_load()

    def _tell_load(self) -> None:
        load = len(self._flows) + len(self._asking)
        self._given.loads.set(self._given.duty.number - 1, load)


class Worker:
    """Serves whatever comes to its listeners, on the loop of its shop, until `close`.

    `ended` is called, once or more, where the gate has closed the channel or nothing may go on;
    `failure` is then what the gate has asked for and could not be done.
    """

    def __init__(
        self,
        channel: socket.socket,
        given: Given,
        setup: Setup,
        shop: Shop,
        ended: Callable[[], None],
    ) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._shop = shop
        self._ended = ended
        self.up = up = Upward(shop.loop, channel, ended)
        self._given = given
        witness = Witness(up, shop.metrics, live=given.duty.live)
        tools = given.quota, up.send, shop.loop.post
        self._deputy = Deputy(setup, shop.log, shop.gpu, witness, *tools)
        self._gate = WorkerGate(shop.loop, self._deputy, given, witness, shop.metrics, up)
        self._listeners: list[socket.socket] = []
        self.failure: Exception | None = None
        if given.duty.namespace is not None:
            shop.sandboxes[given.duty.namespace] = given.duty.sandbox
        shop.loop.watch(channel.fileno(), READ, self._ready)
        self._say_what_is_in_force()

    def close(self) -> None:
        """End every flow; what is to be told of them waits in `up`."""
        self._gate.close()
        for each in self._listeners:
            each.close()
        if self._given.duty.namespace is not None:
            self._shop.sandboxes.pop(self._given.duty.namespace, None)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self.up.flush()
        while self.failure is None:
            try:
                message = handover.receive(self._channel)
            except BlockingIOError:
                return
            if message is None:
                break
            self._take(*message)
        self._ended()

    def _take(self, kind: str, body: dict[str, Any], fds: list[int]) -> None:
        def end(verdict: Verdict) -> None:
            self.failure = RuntimeError(verdict.reason)

        with fail_closed(self._deputy.judge, "worker.message", end):
            door.probe("worker.message")
            match kind:
                case "setup":
                    self._renew(handover.decode_setup(body))
                case "listen":
                    self._listeners.append(listener := socket.socket(fileno=fds[0]))
                    self._gate.listen(body["kind"], listener)
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
        self.up.send("done", {"round": number, "count": count})

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
        self.up.send("current", {"digest": self._deputy.judge.policy.digest})


def serve(worker: Worker, shop: Shop) -> None:
    """Serve alone; returns when the gate has closed the channel, with every record written.

    Raises what the gate has asked for and could not be done: nothing may go on then.
    """
    shop.open(worker.up.send)
    try:
        shop.loop.run()
    finally:
        worker.close()
        shop.close()
        worker.up.last("counts", shop.counts())
    if worker.failure is not None:
        raise worker.failure


def given_by(channel: socket.socket) -> tuple[Given, Setup]:
    """What the gate says first. Raises SystemExit where it ends before, or says something else."""
    body, fds = expected(channel, "begin")
    duty = handover.decode_duty(body["duty"])
    given = Given(duty, dict(zip(body["descriptors"], fds, strict=True)))
    setup, _ = expected(channel, "setup")
    return given, handover.decode_setup(setup)


def expected(channel: socket.socket, kind: str) -> tuple[dict[str, Any], list[int]]:
    """The next message, which is of this kind. Raises SystemExit."""
    message = handover.receive(channel)
    if message is None:
        raise SystemExit("the gate has ended before it said what is to be done")
    if message[0] != kind:
        raise SystemExit(f"the gate said {message[0]!r} where {kind!r} was due")
    return message[1], message[2]


def main() -> None:
    """Serve the channel whose descriptor is the first argument."""
    logging.basicConfig(level=logging.WARNING, format="worker: %(levelname)s %(message)s")
    set_limits()
    channel = socket.socket(fileno=int(sys.argv[1]))
    given, setup = given_by(channel)
    shop = Shop(Path(setup.audit), setup.chain)
    worker = Worker(channel, given, setup, shop, shop.loop.stop)
    keep_what_stands()
    serve(worker, shop)
    # At once: the gate is gone, and helper threads may still be resolving names.
    os._exit(0)


if __name__ == "__main__":
    main()
