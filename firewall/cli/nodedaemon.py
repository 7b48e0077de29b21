"""`firewall node serve`: put the daemon together, run it, take it apart."""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firewall.actor import Actor
from firewall.audit import AuditError, Keeper, keys
from firewall.cli import signals
from firewall.cli.assembly import open_chain, serve_metrics
from firewall.cli.plan import Options, Plan, make_plan
from firewall.cli.run import FAILED
from firewall.cli.teller import Teller
from firewall.gpu import GpuMonitor
from firewall.judge import Judge
from firewall.metrics import Evidence, Metrics
from firewall.node.config import NodeConfig, load_config
from firewall.node.desk import Desk
from firewall.node.sandbox import MakeLane, Shared
from firewall.node.server import Server
from firewall.node.trust import Trusted
from firewall.policy import Policy, PolicyError, load_policy, sources
from firewall.policy.holding import parse_labels
from firewall.policy.loading import find
from firewall.proxy.gate import set_limits
from firewall.proxy.handover import Setup
from firewall.proxy.loop import Loop
from firewall.proxy.reload import Reload
from firewall.sandbox import Authority, SandboxError

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
) -> int:
    """Serve until SIGINT or SIGTERM; SIGHUP loads the policies again."""
    signals.block()
    try:
        _must_be_root()
        config = load_config(Path(config_path))
        own = parse_labels(labels)
        policies = {name: load_policy(path, own) for name, path in config.policies.items()}
        first = next(iter(policies))
        options = Options(config.policies[first], log, metrics, checkpoints, keep, inspect)
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
        audit=lambda: log.state,
        evidence=lambda: Evidence(log.waiting, keeper.state == "ok", keeper.newest()),
    )
    log, number = open_chain(plan.audit, metrics)
    keeper = Keeper(plan.audit, plan.authority, places=plan.checkpoints, keep=plan.keep)
    teller = Teller(metrics, live=False)
    loop = Loop()
    marks = keys.redaction_key(plan.authority)
    shared = Shared(
        loop=loop,
        own=Judge(plan.policy, log, OneFollower(gpu), teller, redaction_key=marks),
        log=log,
        gpu=OneFollower(gpu),
        witness=teller,
        metrics=metrics,
        marks=marks,
        numbers=itertools.count(1),
        setup=_setup(plan, number),
        lane=lambda judge: _lane(loop, judge, plan),
        say=teller.say,
    )
    trusted = Trusted(Authority.ensure(plan.authority).pem, Path(config.socket).parent / "trust")
    trusted.prepare()
    desk = Desk(shared, config, policies, trusted)
    gpu.follow(lambda facts: log.append({"kind": "gpu-after", **facts}, urgent=False))
    gpu.start()
    keeper.start()
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
        log.close()
        keeper.close()
        teller.close()
        loop.close()


class OneFollower:
    """The GPUs for judges that share one log: what they do afterwards is recorded once, by us."""

    def __init__(self, gpu: GpuMonitor) -> None:
        self._gpu = gpu

    def fresh(self, actor: Actor, done: Callable[[Mapping[str, Any]], None]) -> None:
        self._gpu.fresh(actor, done)

    def follow(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        """Nothing: see above."""


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
