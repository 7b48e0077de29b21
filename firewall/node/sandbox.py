"""One sandbox of a node: its place, and a gate of its own for what runs there.

All gates of a node run on one loop and write one chain of records; with workers, each has one that
accepts for it (workshops.py). A policy, a quarantine, the names asked for and the process that
inspects in depth are each sandbox's own.
"""

import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from firewall.frozen import frozen
from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.node.place import Place
from firewall.policy import Policy
from firewall.ports import Gpu, Log, Witness
from firewall.proxy.actors import Actors, Endpoint
from firewall.proxy.gate import Gate
from firewall.proxy.handover import Setup
from firewall.proxy.loop import Loop
from firewall.proxy.quarantine import Quarantine
from firewall.proxy.refusal import plain
from firewall.proxy.workers import Staff
from firewall.sandbox.enter import in_network
from firewall.sandbox.inhabitants import NamespaceFinder, NamespaceFreezer
from firewall.sandbox.network import Sockets, open_udp
from firewall.vault import Vault

if TYPE_CHECKING:
    from firewall.proxy.lane.lane import HandOver, Lane

PAUSE_SECONDS = 0.02

type MakeLane = Callable[["HandOver"], "Lane"]


@frozen
class Shared:
    """What the sandboxes of a node have in common.

    `own` records the node's own faults. `setup` is told a sandbox's number and its release command,
    `lane` a sandbox's judge, `staff` its name and place; they make what that sandbox's gate needs.
    `numbers` are those of the flows.
    """

    loop: Loop
    own: Judge
    log: Log
    gpu: Gpu
    witness: Witness
    metrics: Metrics
    marks: bytes
    numbers: Iterator[int]
    setup: Callable[[int, str], Setup]
    lane: Callable[[Judge], MakeLane | None]
    staff: Callable[[str, Place], Staff | None]
    say: Callable[[str], None]


@frozen
class Identity:
    """What a sandbox is called, the policy it was given by name, and whose it is.

    `number` is the lowest that no other sandbox has: the depth process's chain has it in its name.
    """

    name: str
    policy: str
    owner: int
    number: int


class Sandbox:
    """Serves a place, on the loop's thread, until `close`."""

    def __init__(
        self,
        shared: Shared,
        identity: Identity,
        policy: Policy,
        place: Place,
        sockets: Sockets,
        failed: Callable[[], None],
    ) -> None:
        self._shared = shared
        self.identity = identity
        self.place = place
        self.namespace = place.inode
        self._sockets = sockets
        release = f"firewall node reopen {identity.name}"
        judge = Judge(
            policy, shared.log, shared.gpu, shared.witness, release, redaction_key=shared.marks
        )
        judge.vault = _watching(judge, policy)
        finder = NamespaceFinder(identity.name, place.pid, self.namespace, sockets.diag)
        self.gate = Gate(
            shared.loop,
            judge,
            shared.witness,
            shared.metrics,
            shared.setup(identity.number, release),
            Actors(identity.name, finder, shared.loop.post),
            lane=shared.lane(judge),
            numbers=shared.numbers,
            staff=shared.staff(identity.name, place),
        )
        freezer = NamespaceFreezer(self.namespace)
        self.quarantine = Quarantine(
            self.gate, identity.name, shared.say, failed, freezer, self.namespace
        )
        self.gate.serve_transparent(sockets.tcp, sockets.udp, self._open_udp)
        shared.metrics.sandbox(1)

    def status(self) -> dict[str, Any]:
        """As JSON can hold it."""
        known = self.quarantine.status()
        told = {name: known[name] for name in ("namespace", "started", "state", "since")}
        told["why"] = plain(known["why"])  # which may repeat what was sent, at any length
        own: dict[str, Any] = {"name": self.identity.name, "policy": self.identity.policy}
        told |= {"pid": self.place.pid, "owner": self.identity.owner}
        return own | told | self._worker()

    def replace_policy(self, policy: Policy) -> None:
        """Judge by another policy from the next request on."""
        self.gate.replace_policy(policy, _watching(self.gate.judge, policy))

    def _worker(self) -> dict[str, Any]:
        """Who serves it, its process, and whether it judges by the policy in force already."""
        if not (now := self.gate.status()):
            return {}
        (served,) = self.gate.workers.states()
        process = next(iter(now["worker_pids"]), 0)
        current = now["workers_current"] == 1
        return {"worker": served.number, "worker_pid": process, "current": current}

    def close(self, ended: Callable[[], None]) -> None:
        """Leave nothing that listens, so that nothing gets out; `ended` runs when all is gone."""
        self.gate.stop()
        self.gate.depth.retire()
        self.gate.workers.retire()
        for each in (self._sockets.tcp, self._sockets.udp, self._sockets.diag):
            each.close()
        self.place.close()
        self._shared.metrics.sandbox(-1)

        self._await_others(ended)

    def _await_others(self, ended: Callable[[], None]) -> None:
        """Until depth and a worker have ended their flows, or are killed (Link.retire)."""
        if self.gate.depth.idle and self.gate.workers.idle:
            self.gate.close()
            ended()
        else:
            self._shared.loop.after(PAUSE_SECONDS, partial(self._await_others, ended))

    def _open_udp(self, address: Endpoint, family: int) -> socket.socket:
        return in_network(self.place.network, lambda: open_udp(*address, family))


def _watching(judge: Judge, policy: Policy) -> Vault:
    """What is looked for under a policy. A node holds none of its secrets: its environment is its
    own, and no agent was started with their placeholders."""
    return judge.vault.renewed((), policy.watched)
