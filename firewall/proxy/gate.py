"""The gate: where every connection of a sandbox arrives.

It owns the loop, the flows and everything they share. `firewall run` gives it the sandbox's
listeners, `firewall serve` a listener of the host for clients that are told of a proxy.
"""

import contextlib
import gc
import itertools
import logging
import resource
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firewall import judge
from firewall.causes import Cause
from firewall.deeds import Deed
from firewall.judge import Judge, fail_closed
from firewall.metrics import Metrics
from firewall.policy import Policy
from firewall.ports import Witness
from firewall.proxy import handover
from firewall.proxy.accepting import Accepting, Arrived
from firewall.proxy.actors import Actors, Endpoint, Found
from firewall.proxy.depthlink import DepthLink, InDepth
from firewall.proxy.dns import Resolution
from firewall.proxy.dns_tcp import DnsConnection
from firewall.proxy.explicit import Front
from firewall.proxy.flow import Flow
from firewall.proxy.handover import Handover, Setup
from firewall.proxy.loop import Loop
from firewall.proxy.names import Names
from firewall.proxy.quotalink import charge_for
from firewall.proxy.redirected import Redirected, redirected_from
from firewall.proxy.resolver import Resolved, Resolver
from firewall.proxy.udp import (
    DNS_PORT,
    Ancillary,
    UdpListener,
    endpoint,
    original_destination,
)
from firewall.proxy.ways import Road
from firewall.proxy.workerlink import WorkerLink
from firewall.proxy.workers import Staff, Workers
from firewall.vault import Vault
from firewall.verdict import Verdict

if TYPE_CHECKING:
    from firewall.proxy.lane.lane import HandOver, Lane

logger = logging.getLogger(__name__)

FLOWS = 20_000
"""Flows at once; more wait in the kernel's accept queue."""
COLLECT_AFTER = 10_000
"""Objects that flows make until garbage is looked for, in a millisecond."""
WIND_DOWN_SECONDS = 2.0


class Gate:
    """Serves flows on the calling thread until `stop`."""

    def __init__(
        self,
        loop: Loop,
        judge: Judge,
        witness: Witness,
        metrics: Metrics,
        setup: Setup,
        actors: Actors,
        *,
        lane: "Callable[[HandOver], Lane] | None" = None,
        numbers: Iterator[int] | None = None,
        staff: Staff | None = None,
        accepting: Accepting | None = None,
        depth: InDepth | None = None,
    ) -> None:
        """`numbers` are those of the flows, shared by gates that write one chain of records. With a
        `staff` workers accept. `accepting` is how connections are taken, and `depth` what serves
        flows in depth, where that is not as usual."""
        self.loop = loop
        self.judge = judge
        self._witness = witness
        self.metrics = metrics
        self.depth: InDepth = depth or DepthLink(loop, self.setup, self._reported)
        judge.on_deeds = lambda done: loop.post(lambda: self._tell(done))
        self._make_lane = lane
        self._lane: Lane | None = None
        self._setup_base = setup
        self._actors = actors
        self._unlimited = metrics.limited(lambda: judge.quota.states(judge.policy.limits))
        self._names = Names(table=staff.names if staff else None)
        self._resolution = Resolution(judge, self._names, loop.post)
        self._resolver = Resolver(loop.post)
        self._resolver.pinned = judge.policy.names
        self._flows: set[Flow] = set()
        self._inspected = 0
        self._numbers = numbers or itertools.count(1)
        self._accepting = accepting or Accepting(loop, judge)
        self._udp: list[UdpListener] = []
        self._arrivals: dict[str, Arrived] = {
            "transparent": self._transparent,
            "redirected": self._redirected,
            "explicit": self._explicit,
        }
        self.workers = Workers(self, staff)

    # What it serves

    def serve_transparent(
        self,
        tcp: socket.socket,
        udp: socket.socket,
        open_udp: Callable[[Endpoint, int], socket.socket],
    ) -> None:
        """Serve a sandbox: its sockets receive what was sent to any address of the world."""
        self.listen("transparent", tcp)
        self._serve_udp(udp, open_udp, original_destination)

    def serve_redirected(self, listeners: Redirected) -> None:
        """Serve those whose connections and datagrams are redirected to these listeners."""
        for tcp in listeners.tcp:
            self.listen("redirected", tcp)
        for udp, destination in listeners.udp:
            self._serve_udp(udp, None, destination)

    def serve_explicit(self, listener: socket.socket) -> None:
        """Serve clients that speak HTTP CONNECT, absolute-form HTTP or SOCKS5."""
        self.listen("explicit", listener)

    def _serve_udp(
        self,
        udp: socket.socket,
        open_udp: Callable[[Endpoint, int], socket.socket] | None,
        destination: Callable[[Ancillary, Endpoint], Endpoint],
    ) -> None:
        shared = (self.loop, self.judge, self._names)
        find = self._actors.find_udp
        self._udp.append(UdpListener(*shared, udp, open_udp, find, destination))

    def replace_policy(self, policy: Policy, vault: Vault) -> None:
        """Judge by another policy from the next request on; `vault` holds what it names."""
        self.judge.vault, self.judge.policy = vault, policy
        self.pin_names()
        self.update()
        self.metrics.policy(policy.name, policy.digest)
        troubles = (*self.judge.vault.troubles, *self.judge.vault.unmarked)
        told = {"unreadable": list(troubles)} if troubles else {}
        self.judge.note("policy", {**policy.facts(), **told})

    def look_at_marked(self) -> None:
        """Look for what stands in marked files by now as well."""
        vault = self.judge.vault.looked_again()
        if vault is not self.judge.vault:
            self.judge.vault = vault
            self.update()

    def pin_names(self) -> None:
        """Resolve the names that the policy in force gives addresses to as it says."""
        self._resolver.pinned = self.judge.policy.names

    def update(self) -> None:
        """Tell depth and the workers of another policy, or that a quarantine has ended."""
        self.depth.update()
        self.workers.update()

    def heard(self, done: Callable[[], None]) -> None:
        """Call `done` once the workers do by what they were told so far."""
        self.workers.heard(done)

    def cut(self, done: Callable[[int], None]) -> None:
        """End every flow that leads somewhere, then call `done` with how many there were.

        Raises RuntimeError, once all others have ended, where one of our own could not be.
        """
        admitted, inspected = [flow for flow in self._flows if flow.admitted], self._inspected
        uncut: list[Verdict] = []
        self.depth.retire()
        if self._lane is not None:
            self._lane.cut()
        for flow in admitted:
            with fail_closed(self.judge, "gate.cut", uncut.append):
                judge.probe("gate.cut")
                flow.abort()
        if uncut:
            raise RuntimeError(f"{len(uncut)} flows could not be cut")
        ours = len(admitted) + inspected
        self.workers.cut(lambda theirs: done(ours + theirs))

    def status(self) -> dict[str, Any]:
        """What is told of it besides its sandbox's state."""
        return self.workers.status()

    def wind_down(self, done: Callable[[], None]) -> None:
        """Judge what still waits for a verdict, so that its record is written, then call `done`."""
        for flow in list(self._flows):
            flow.conclude()
        until = time.monotonic() + WIND_DOWN_SECONDS
        self.workers.conclude(lambda: self._until_decided(done, until))

    def _until_decided(self, done: Callable[[], None], until: float) -> None:
        if time.monotonic() < until and any(flow.undecided for flow in self._flows):
            self.loop.after(0.01, lambda: self._until_decided(done, until))
        else:
            done()

    def stop(self) -> None:
        """Take no further flow and end those there are, but for the depth process's."""
        self._unlimited()
        self._accepting.close()
        while self._udp:
            self._udp.pop().close()
        for flow in list(self._flows):
            flow.abort()
        if self._lane is not None:
            self._lane.close()

    def close(self) -> None:
        """Cut every flow, end the workers and the depth process."""
        self.stop()
        self.workers.close()
        self.depth.close()
        self._resolver.close()
        self._actors.close()

    # What a flow needs (house.House)

    def find_actor(self, client: Endpoint, destination: Endpoint, found: Found) -> None:
        self._actors.find(client, destination, found)

    def resolve(self, name: str, done: Resolved) -> None:
        self._resolver.resolve(name, done)

    @property
    def lane(self) -> "Lane | None":
        """The fast lane, loaded when the first flow is allowed; None where there is none."""
        if self._lane is None and self._make_lane is not None:
            self._lane = self._make_lane(self.hand_over)
        return self._lane

    def ended(self, flow: Flow) -> None:
        self._flows.discard(flow)
        if flow.handed_over:
            self._count_inspected(self._inspected + 1)

    # Accepting

    def listen(self, kind: str, listener: socket.socket) -> None:
        """Accept from a listener, unless workers do."""
        if self.workers.listen(kind, listener):
            return
        self._accepting.listen(listener, self._arrivals[kind], self.is_full)

    def is_full(self) -> bool:
        """Whether no further flow is taken for now."""
        return len(self._flows) + self._inspected >= FLOWS

    def _transparent(self, client: socket.socket, address: Any) -> None:
        """The accepted socket's own address is where the agent wanted to go."""
        self._arrived(client, address, endpoint(client.getsockname()))

    def _redirected(self, client: socket.socket, address: Any) -> None:
        self._arrived(client, address, redirected_from(client))

    def _arrived(self, client: socket.socket, address: Any, dialled: Endpoint) -> None:
        host = self.name_of(dialled[0]) or dialled[0]
        road = Road(endpoint(address), dialled, host, dialled[1])
        if road.port == DNS_PORT:
            self.question(client, road)
        else:
            self._begin(client, road)

    def name_of(self, address: str) -> str | None:
        """The name that a synthetic address stands for."""
        return self._names.name(address)

    def question(self, client: socket.socket, road: Road) -> None:
        """Answer by TCP: the firewall is the name server at every address."""
        DnsConnection(
            self.loop,
            self.judge,
            self._resolution,
            client,
            {"client": list(road.client), "dialled": list(road.dialled)},
            lambda found: self.find_actor(road.client, road.dialled, found),
            lambda: self._begin(client, road),
        ).start()

    def _explicit(self, client: socket.socket, address: Any) -> None:
        dialled = endpoint(client.getsockname())

        def asked(host: str, port: int) -> None:
            self._begin(client, Road(endpoint(address), dialled, host, port))

        Front(self.loop, self.judge, client, asked).start()

    def _begin(self, client: socket.socket, road: Road) -> None:
        flow = Flow(self, next(self._numbers), client, road)
        self._flows.add(flow)
        flow.start()

    # The depth process, and workers

    def setup(self) -> Setup:
        policy, shut = self.judge.policy.dump(), self.judge.quarantined
        done, vault = self.judge.done(), self.judge.vault.dump()
        return replace(self._setup_base, policy=policy, quarantined=shut, deeds=done, vault=vault)

    def hand_over(self, given: Handover, client: socket.socket) -> bool:
        """Give depth what the lane does not know, or a worker's flow; False where it cannot."""
        given_over = self.depth.give(given, client)
        if given_over:
            self._count_inspected(self._inspected + 1)
        return given_over

    def _tell(self, done: tuple[Deed, ...]) -> None:
        self.depth.tell(done)
        self.workers.tell(done)

    def learned(self, done: tuple[Deed, ...], teller: WorkerLink) -> None:
        """Remember what a worker has allowed, and tell the others of it."""
        self.judge.remember(done)
        self.depth.tell(done)
        self.workers.tell(done, teller)

    def reported(self, kind: str, body: dict[str, Any]) -> None:
        """What any process tells that judges for this gate."""
        if kind == "verdict":
            self._witness.verdict(body["event"], body["seconds"])
        elif kind == "quarantine":
            self._quarantine(body)

    def _reported(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "closed":
            self._count_inspected(self._inspected - 1)
            self.metrics.bytes("sent", body["sent"])
            self.metrics.bytes("received", body["received"])
            self.judge.note("flow", body)
        elif kind == "deeds":
            self.judge.remember(done := handover.decode_deeds(body))
            self.workers.tell(done)
        elif kind == "charge":
            charge_for(self.judge, body, self.depth.say)
        elif kind == "retired":
            self._count_inspected(body["waiting"])
        elif kind == "died":
            self._count_inspected(0)
            self.judge.note("depth.died", {"reason": "the depth process ended unexpectedly"})
        else:
            self.reported(kind, body)

    def _quarantine(self, body: dict[str, Any]) -> None:
        """Another process saw something critical and has shut its own door already."""

        def shut(verdict: Verdict) -> None:
            self.judge.quarantine(Cause(verdict.rule, verdict.reason))

        with fail_closed(self.judge, "gate.quarantine", shut):
            judge.probe("gate.quarantine")
            self.judge.quarantine(Cause(**body))

    def _count_inspected(self, now: int) -> None:
        self.metrics.flow("inspecting", now - self._inspected)
        self._inspected = now


def keep_what_stands() -> None:
    """What stands now stays: no look for garbage need go through it again."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def set_limits() -> None:
    """Use as many descriptors as this process may (a flow needs up to four), and dump no core.

    The memory of a firewall holds a certificate authority's key and what its clients say.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # 1 byte is less than any core, and the one limit that also stops a core's way into a program
    # (core(5), kernel/coredump.c).
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (min(hard, 1) if hard >= 0 else 1,) * 2)
