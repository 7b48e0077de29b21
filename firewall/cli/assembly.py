"""Put the house together: log, GPU monitor, metrics, judge, gate, and take it apart again."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firewall.audit import AuditBusy, AuditLog, Keeper
from firewall.cli.plan import Plan
from firewall.cli.teller import Teller
from firewall.gpu import GpuMonitor
from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.proxy.actors import Actors, Finder
from firewall.proxy.control import Control
from firewall.proxy.gate import Gate, set_limits
from firewall.proxy.handover import Setup
from firewall.proxy.loop import Loop
from firewall.proxy.quarantine import Freezer, Quarantine
from firewall.proxy.reload import Reload
from firewall.sandbox import Threads
from firewall.toolcalls.approvals import Approvals

if TYPE_CHECKING:
    from firewall.proxy.lane.lane import HandOver, Lane

CHAINS = 1024


@dataclass(frozen=True, slots=True)
class House:
    """A gate that is ready, and what belongs to it."""

    gate: Gate
    loop: Loop
    metrics: Metrics
    teller: Teller
    reload: Reload
    quarantine: Quarantine


@contextmanager
def open_house(
    plan: Plan,
    finder: Finder,
    warn: Callable[[str], None],
    *,
    live: bool,
    freezer: Freezer | None = None,
    threads: Threads | None = None,
) -> Iterator[House]:
    """Yield a house that is ready to serve. Raises AuditError where the log cannot be trusted.

    `freezer` stops the sandbox's processes, `threads` learns of its tool calls; without a sandbox
    there are none.
    """
    set_limits()
    gpu = GpuMonitor()
    metrics = Metrics(gpu=gpu.latest, audit=lambda: log.state)
    log, number = open_chain(plan.audit, metrics)
    keeper = Keeper(plan.audit, plan.authority, places=plan.checkpoints, keep=plan.keep)
    teller = Teller(metrics, live=live, heard=threads.verdict if threads else None)
    release = f"firewall sandbox release {plan.name}"
    loop = Loop()
    judge = Judge(plan.policy, log, gpu, teller, release)
    judge.desk = desk = Approvals(plan.approvals, judge, teller.say, loop.post)
    setup = Setup(
        policy="",
        audit=str(plan.audit),
        chain=f"depth-{number}",
        authority=str(plan.authority),
        upstream_ca=plan.upstream_ca,
        known_hosts=plan.known_hosts,
        release=release,
        addons=("firewall.toolcalls.wire.addon",),
        desk="firewall.toolcalls.approvals:desk",
        approvals=str(plan.approvals),
    )
    lane = _lane(loop, judge, plan) if plan.inspect != "depth" else None
    actors = Actors(plan.name, finder, loop.post)
    gate = Gate(loop, judge, teller, metrics, setup, actors, lane=lane)
    reload = Reload(
        loop, plan.policy_path, plan.policy, gate.replace_policy, warn, watch=plan.watched
    )
    quarantine = Quarantine(gate, plan.name, teller.say, loop.stop, freezer)
    gpu.start()
    keeper.start()
    metrics.policy(plan.policy.name, plan.policy.digest)
    try:
        if plan.metrics is not None:
            _serve_metrics(metrics, *plan.metrics)
        with closing(_control(loop, judge, quarantine, plan)):
            yield House(gate, loop, metrics, teller, reload, quarantine)
    finally:
        desk.close()
        gate.close()
        reload.close()
        gpu.stop()
        log.close()
        keeper.close()
        loop.close()


def _lane(loop: Loop, judge: Judge, plan: Plan) -> "Callable[[HandOver], Lane]":
    """What makes the fast lane, for a gate that takes over what it does not know."""

    def make(hand_over: "HandOver") -> "Lane":
        from firewall.proxy.lane.lane import Lane  # which loads TLS

        both = plan.inspect == "http2"
        return Lane(loop, judge, plan.authority, plan.upstream_ca, hand_over, prefer_http2=both)

    return make


def _control(loop: Loop, judge: Judge, quarantine: Quarantine, plan: Plan) -> Control:
    try:
        return Control(loop, judge, quarantine, plan.control, plan.name)
    except OSError as error:
        raise OSError(
            f"no control socket can be made in {plan.control}: {error.strerror}; name another"
            " folder for the firewall's state in FIREWALL_STATE"
        ) from error


def _serve_metrics(metrics: Metrics, host: str, port: int) -> None:
    try:
        metrics.serve(host, port)
    except OSError as error:
        raise OSError(f"--metrics {host}:{port} cannot be served: {error.strerror}") from error


def open_chain(directory: Path, metrics: Metrics) -> tuple[AuditLog, int]:
    """The first of the gates' chains that no other process writes, and its number."""
    for number in range(CHAINS):
        try:
            return AuditLog(directory, f"gate-{number}", observe=metrics.append), number
        except AuditBusy:
            continue
    raise AuditBusy(f"{directory}: {CHAINS} firewalls write here already")
