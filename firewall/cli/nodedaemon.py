"""`firewall node serve`: put the daemon together, run it, take it apart."""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firewall.audit import AuditError, Keeper, keys
from firewall.cli import signals
from firewall.cli.assembly import open_chain, serve_metrics
from firewall.cli.plan import Options, Plan, make_plan
from firewall.cli.run import FAILED
from firewall.cli.teller import Teller
from firewall.gpu import GpuMonitor
from firewall.gpu.follower import OneFollower
from firewall.judge import Judge
from firewall.metrics import Evidence, Metrics
from firewall.node.config import NodeConfig, load_config
from firewall.node.desk import Desk
from firewall.node.place import Place
from firewall.node.sandbox import MakeLane, Shared
from firewall.node.server import Server
from firewall.node.trust import Trusted
from firewall.policy import Policy, PolicyError, load_policy, sources
from firewall.policy.holding import parse_labels
from firewall.policy.loading import find
from firewall.proxy.gate import set_limits
from firewall.proxy.handover import Duty, Setup
from firewall.proxy.loop import Loop
from firewall.proxy.names import NET4
from firewall.proxy.nametable import NameTable
from firewall.proxy.reload import Reload, watch_marked
from firewall.proxy.workers import Staff
from firewall.proxy.workshops import SharedLink, Workshops
from firewall.sandbox import Authority, SandboxError, network
from firewall.sandbox.enter import in_network

if TYPE_CHECKING:
    from firewall.proxy.lane.lane import HandOver, Lane


def serve_node(
    config_path: str,
    log: Path | None,
    metrics: str | None,
    checkpoints: tuple[str, ...],
    keep: str | None,
    inspect: str,
    labels: tuple[str, ...] = (),
    workers: int | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM; SIGHUP loads the policies again."""
    signals.block()
    try:
        _must_be_root()
        config = load_config(Path(config_path))
        own = parse_labels(labels)
        policies = {name: load_policy(path, own) for name, path in config.policies.items()}
        first = next(iter(policies))
        told = log, metrics, checkpoints, keep, inspect, workers or config.workers
        options = Options(config.policies[first], *told)
        plan = make_plan(options, policies[first], kind="node")
        with _opened(plan, config, policies) as (loop, desk, reloads):
            signals.listen(lambda number, _: _signalled(loop, desk, reloads, number))
            _say(f"{len(policies)} policies in force; listening at {config.socket}")
            loop.run()
    except (PolicyError, AuditError, SandboxError, OSError, ValueError) as error:
        _say(str(error))
        return FAILED
    finally:
        signals.unblock()
    return 0


@contextmanager
def _opened(
    plan: Plan, config: NodeConfig, policies: Mapping[str, Policy]
) -> Iterator[tuple[Loop, Desk, list[Reload]]]:
    set_limits()
    sources.seal()
    gpu = GpuMonitor(sandboxes=_named(lambda: desk))
    metrics = Metrics(
        gpu=gpu.latest,
        audit=lambda: shops.audit if log.state == "ok" else log.state,
        evidence=lambda: Evidence(
            log.waiting + shops.waiting, keeper.state == "ok", keeper.newest()
        ),
        workers=lambda: shops.states(),  # noqa: PLW0108 - they come later
    )
    log, number = open_chain(plan.audit, metrics)
    keeper = Keeper(plan.audit, plan.authority, places=plan.checkpoints, keep=plan.keep)
    teller = Teller(metrics, live=False)
    loop = Loop()
    marks = keys.redaction_key(plan.authority)
    own = Judge(plan.policy, log, OneFollower(gpu), teller, redaction_key=marks)
    shops = Workshops(loop, _chains(plan, number), metrics, _teller_of_deaths(own, teller))
    shared = Shared(
        loop=loop,
        own=own,
        log=log,
        gpu=OneFollower(gpu),
        witness=teller,
        metrics=metrics,
        marks=marks,
        numbers=itertools.count(1),
        setup=_setup(plan, number),
        lane=lambda judge: _lane(loop, judge, plan),
        staff=_staff(plan, shops),
        say=teller.say,
    )
    trusted = Trusted(Authority.ensure(plan.authority).pem, Path(config.socket).parent / "trust")
    trusted.prepare()
    desk = Desk(shared, config, policies, trusted)
    gpu.follow(lambda facts: log.append({"kind": "gpu-after", **facts}, urgent=False))
    gpu.start()
    keeper.start()
    watch_marked(loop, desk.look_at_marked)
    reloads = [_reload(loop, desk, config, name, each) for name, each in policies.items()]
    try:
        if plan.metrics is not None:
            serve_metrics(metrics, *plan.metrics)
        path = Path(config.socket)
        with closing(Server(loop, path, desk.serve, shared.own, anyone=bool(config.grants))):
            yield loop, desk, reloads
    finally:
        for each in reloads:
            each.close()
        gpu.stop()
        shops.close()
        log.close()
        keeper.close()
        teller.close()
        loop.close()


def _named(desk: Callable[[], Desk]) -> Callable[[], Mapping[int, str]]:
    return lambda: desk().sandboxes()


def _setup(plan: Plan, gate: int) -> Callable[[int, str], Setup]:
    def make(number: int, release: str) -> Setup:
        return Setup(
            policy="",
            audit=str(plan.audit),
            chain=f"depth-{gate}-{number}",
            authority=str(plan.authority),
            upstream_ca=plan.upstream_ca,
            known_hosts=plan.known_hosts,
            release=release,
            addons=("firewall.toolcalls.wire.addon",),
        )

    return make


def _chains(plan: Plan, gate: int) -> list[Setup]:
    """What each workshop is told, where there are to be any: its chain."""
    numbers = range(1, plan.workers + 1) if plan.workers > 1 else ()
    known = str(plan.audit), str(plan.authority), plan.upstream_ca
    return [Setup("", known[0], f"gate-{gate}.{number}", *known[1:]) for number in numbers]


def _staff(plan: Plan, shops: Workshops) -> Callable[[str, Place], Staff | None]:
    """What makes a sandbox's one worker, in the workshop that has the fewest."""

    def make(name: str, place: Place) -> Staff | None:
        if plan.workers == 1:
            return None
        shop = shops.place()
        duty = Duty(
            number=1,
            workers=1,
            chain=shop.chain,
            sandbox=name,
            finder="firewall.sandbox.inhabitants:NamespaceFinder",
            pid=place.pid,
            namespace=place.inode,
            inspect=plan.inspect,
        )
        open_diag = partial(in_network, place.network, network.open_diag)
        return Staff(duty, NameTable(NET4.num_addresses), open_diag, partial(SharedLink, shop))

    return make


def _teller_of_deaths(own: Judge, teller: Teller) -> Callable[[dict[str, Any]], None]:
    def tell(facts: dict[str, Any]) -> None:
        own.note("worker.died", facts)
        teller.say(
            f"firewall: {facts['reason']}; {len(facts['sandboxes'])} sandboxes are cut off until"
            f" another takes its place, in {facts['replaced_in']:g} s"
        )

    return tell


def _lane(loop: Loop, judge: Judge, plan: Plan) -> MakeLane | None:
    if plan.inspect == "depth":
        return None

    def make(hand_over: "HandOver") -> "Lane":
        from firewall.proxy.lane.lane import Lane  # which loads TLS

        both = plan.inspect == "http2"
        return Lane(loop, judge, plan.authority, plan.upstream_ca, hand_over, prefer_http2=both)

    return make


def _reload(loop: Loop, desk: Desk, config: NodeConfig, name: str, policy: Policy) -> Reload:
    path = find(config.policies[name])

    def replace(new: Policy) -> None:
        desk.replace_policy(name, new)
        _say(f"the policy {name} is in force anew")

    return Reload(loop, path, policy, replace, _say, watch=True)


def _signalled(loop: Loop, desk: Desk, reloads: list[Reload], number: signal.Signals) -> None:
    if number == signal.SIGHUP:
        for each in reloads:
            loop.post(each.now)
    elif number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        loop.post(lambda: desk.close(loop.stop))


def _must_be_root() -> None:
    if os.geteuid() != 0:
        raise ValueError("a node must be root: it goes into the network namespaces of others")


def _say(message: str) -> None:
    print(f"firewall: {message}", file=sys.stderr, flush=True)
