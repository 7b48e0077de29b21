"""Put the house together: log, GPU monitor, metrics, judge, gate, and take it apart again."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from firewall.alerting import Alarm, everyone
from firewall.audit import AuditBusy, AuditLog, Keeper, keys
from firewall.audit.log import Gather
from firewall.cli.hands import OwnHands
from firewall.cli.plan import Plan
from firewall.cli.teller import Teller
from firewall.frozen import frozen
from firewall.gpu import GpuMonitor
from firewall.gpu.view import ProcessView
from firewall.judge import Judge
from firewall.metrics import Evidence, Metrics
from firewall.policy import Policy
from firewall.proxy.actors import Actors, Finder
from firewall.proxy.control import Control, Desk
from firewall.proxy.gate import Gate, keep_what_stands, set_limits
from firewall.proxy.handover import Duty, Setup
from firewall.proxy.loop import Loop
from firewall.proxy.names import NET4
from firewall.proxy.nametable import NameTable
from firewall.proxy.quarantine import Freezer, Quarantine
from firewall.proxy.reload import Reload, watch_marked
from firewall.proxy.workers import Staff, Workers
from firewall.sandbox import Threads
from firewall.sandbox.blamed import Blamed
from firewall.toolcalls.approvals import Approvals

if TYPE_CHECKING:
    from firewall.proxy.lane.lane import HandOver, Lane

CHAINS = 1024


@frozen
class House:
    """A gate that is ready, and what belongs to it."""

    gate: Gate
    loop: Loop
    metrics: Metrics
    teller: Teller
    reload: Reload
    quarantine: Quarantine


@frozen
class Place:
    """What workers must know of where they serve: what finds the processes there, the first of
    them, and what makes the socket by which they are found, where it is not made anywhere."""

    finder: str = "firewall.sandbox:ActorFinder"
    pid: int = 1
    open_diag: Callable[[], socket.socket] | None = None


HERE = Place()


@contextmanager
def open_house(
    plan: Plan,
    finder: Finder,
    warn: Callable[[str], None],
    *,
    live: bool,
    freezer: Freezer | None = None,
    threads: Threads | None = None,
    namespace: int | None = None,
    mine: Callable[[ProcessView], bool] = everyone,
    place: Place = HERE,
) -> Iterator[House]:
    """Yield a house that is ready to serve. Raises AuditError where the log cannot be trusted, and
    PolicyError where a secret of the policy cannot be read.

    `freezer` stops the sandbox's processes, `threads` learns of its tool calls; without a sandbox
    there are none; `namespace` is the inode of its network namespace. `mine` says whose GPU use
    this firewall judges, `place` where workers serve, if there are to be any.
    """
    set_limits()
    vault = plan.vault.read()
    vault.must_be_whole()
    gpu = GpuMonitor(sandboxes=lambda: {} if namespace is None else {namespace: plan.name})
    metrics = Metrics(
        gpu=gpu.latest,
        audit=lambda: gate.workers.audit if log.state == "ok" else log.state,
        evidence=lambda: _evidence(log, keeper, gate.workers),
        workers=lambda: gate.workers.states(),  # noqa: PLW0108 - the gate comes later
    )
    loop = Loop()
    log, number = open_chain(plan.audit, metrics, loop.gather)
    keeper = Keeper(plan.audit, plan.authority, places=plan.checkpoints, keep=plan.keep)
    teller = Teller(metrics, live=live)
    release = f"firewall sandbox release {plan.name}"
    marks = keys.redaction_key(plan.authority)
    judge = Judge(plan.policy, log, gpu, teller, release, redaction_key=marks)
    judge.vault = vault
    if threads is not None:
        threads.clean = _cleaner(judge)
        threads.tell = lambda *told: loop.post(lambda: gate.workers.called(*told))
    judge.desk = desk = Approvals(plan.approvals, judge, teller.say, loop.post)
    setup = _setup(plan, number, release)
    lane = _lane(loop, judge, plan) if plan.inspect != "depth" else None
    actors = Actors(plan.name, finder, loop.post)
    staff = _staff(plan, number, place, namespace, live=live)
    gate = Gate(loop, judge, teller, metrics, setup, actors, lane=lane, staff=staff)
    reload = Reload(
        loop, plan.policy_path, plan.policy, _replacer(gate, warn), warn, watch=plan.watched
    )
    blamed = Blamed()
    _watch_files(loop, gate, warn)
    quarantine = Quarantine(gate, plan.name, teller.say, loop.stop, freezer or blamed, namespace)
    alarm = Alarm(judge, metrics, teller.say, OwnHands(judge, blamed), mine)
    teller.heard += [alarm.verdict, *([threads.verdict] if threads else [])]
    gpu.subscribe(alarm.see)
    gpu.start()
    keeper.start()
    metrics.policy(plan.policy.name, plan.policy.digest)
    try:
        if plan.metrics is not None:
            serve_metrics(metrics, *plan.metrics)
        with closing(open_control(loop, judge, quarantine, plan)):
            keep_what_stands()
            yield House(gate, loop, metrics, teller, reload, quarantine)
    finally:
        desk.close()
        gate.close()
        reload.close()
        gpu.stop()
        log.close()
        keeper.close()
        loop.close()


def _setup(plan: Plan, number: int, release: str) -> Setup:
    """What the depth process needs, but for what the gate alone knows."""
    return Setup(
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


def _replacer(gate: Gate, warn: Callable[[str], None]) -> Callable[[Policy], None]:
    """What puts a new policy in force, and tells of its secrets that cannot be read."""

    def replace(policy: Policy) -> None:
        vault = gate.judge.vault.renewed(policy.secrets, policy.watched)
        gate.replace_policy(policy, vault)
        for trouble in gate.judge.vault.troubles:
            warn(f"what needs this secret is denied: {trouble}")
        for trouble in gate.judge.vault.unmarked:
            warn(trouble)

    return replace


def _staff(
    plan: Plan, number: int, place: Place, namespace: int | None, *, live: bool
) -> Staff | None:
    """Who serves flows; None where the gate itself does."""
    if plan.workers == 1:
        return None
    duty = Duty(
        number=1,
        workers=plan.workers,
        chain=f"gate-{number}",
        sandbox=plan.name,
        finder=place.finder,
        pid=place.pid,
        namespace=namespace,
        inspect=plan.inspect,
        live=live,
    )
    return Staff(duty, NameTable(NET4.num_addresses), place.open_diag)


def _watch_files(loop: Loop, gate: Gate, warn: Callable[[str], None]) -> None:
    """Look again from time to time for what stands in marked files, if the policy has any."""
    if gate.judge.policy.watched.files:
        watch_marked(loop, gate.look_at_marked)
    for trouble in gate.judge.vault.unmarked:
        warn(trouble)


def _evidence(log: AuditLog, keeper: Keeper, workers: Workers) -> Evidence:
    return Evidence(log.waiting + workers.waiting, keeper.state == "ok", keeper.newest())


def _cleaner(judge: Judge) -> Callable[[str], str]:
    """What takes the secrets out of a text, by the policy that is in force then."""

    def clean(text: str) -> str:
        return judge.redactor.text(text)

    return clean


def _lane(loop: Loop, judge: Judge, plan: Plan) -> "Callable[[HandOver], Lane]":
    """What makes the fast lane, for a gate that takes over what it does not know."""

    def make(hand_over: "HandOver") -> "Lane":
        from firewall.proxy.lane.lane import Lane  # which loads TLS

        both = plan.inspect == "http2"
        return Lane(loop, judge, plan.authority, plan.upstream_ca, hand_over, prefer_http2=both)

    return make


def open_control(loop: Loop, judge: Judge, desk: Desk, plan: Plan) -> Control:
    """The control socket. Raises OSError that says what to do."""
    try:
        return Control(loop, judge, desk, plan.control, plan.name)
    except OSError as error:
        raise OSError(
            f"no control socket can be made in {plan.control}: {error.strerror}; name another"
            " folder for the firewall's state in FIREWALL_STATE"
        ) from error


def serve_metrics(metrics: Metrics, host: str, port: int) -> None:
    """Answer scrapes. Raises OSError that says which option is wrong."""
    try:
        metrics.serve(host, port)
    except OSError as error:
        raise OSError(f"--metrics {host}:{port} cannot be served: {error.strerror}") from error


def open_chain(
    directory: Path, metrics: Metrics, gather: Gather = lambda _: False
) -> tuple[AuditLog, int]:
    """The first of the gates' chains that no other process writes, and its number. `gather` is the
    loop's whose flows are recorded in it."""
    for number in range(CHAINS):
        chain = f"gate-{number}"
        try:
            return AuditLog(directory, chain, observe=metrics.append, gather=gather), number
        except AuditBusy:
            continue
    raise AuditBusy(f"{directory}: {CHAINS} firewalls write here already")
