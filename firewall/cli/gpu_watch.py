"""`firewall gpu watch`: the alerts about GPU use alone, for trainers that are in no sandbox.

No proxy and no verdicts: one thread reads the GPUs, the loop answers `firewall sandbox list` and
`release`, which continues what was frozen.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from firewall.alerting import Alarm
from firewall.audit import AuditError, Keeper
from firewall.cli import signals
from firewall.cli.assembly import open_chain, open_control, serve_metrics
from firewall.cli.hands import FarHands
from firewall.cli.neighbours import Neighbours
from firewall.cli.plan import Options, Plan, make_plan
from firewall.cli.run import FAILED
from firewall.cli.teller import Teller
from firewall.gpu import GpuMonitor
from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.policy import Policy, PolicyError, load_policy
from firewall.proxy.loop import Loop
from firewall.proxy.quarantine import Reply
from firewall.proxy.reload import Reload
from firewall.sandbox import SandboxError
from firewall.sandbox.blamed import Blamed


def watch_gpus(options: Options) -> int:
    """Watch until SIGINT or SIGTERM; SIGHUP loads the policy again."""
    signals.block()
    try:
        policy = load_policy(options.policy)
        plan = make_plan(options, policy, kind="watch", upstream_ca="")
        with _watching(plan) as (loop, reload):
            signals.listen(lambda number, _: _signalled(loop, reload, number))
            loop.run()
    except (PolicyError, AuditError, SandboxError, OSError, ValueError) as error:
        print(f"firewall: {error}", file=sys.stderr)
        return FAILED
    finally:
        signals.unblock()
    return 0


@contextmanager
def _watching(plan: Plan) -> Iterator[tuple[Loop, Reload]]:
    """The house of `firewall run` without its gate (assembly.py)."""
    gpu, loop, blamed = GpuMonitor(sandboxes=Neighbours(plan.control)), Loop(), Blamed()
    metrics = Metrics(gpu=gpu.latest, audit=lambda: log.state)
    log, _ = open_chain(plan.audit, metrics)
    keeper = Keeper(plan.audit, plan.authority, places=plan.checkpoints, keep=plan.keep)
    teller = Teller(metrics, live=False)
    judge = Judge(plan.policy, log, gpu, teller)
    alarm = Alarm(judge, metrics, teller.say, FarHands(blamed, plan.control))
    reload = Reload(
        loop, plan.policy_path, plan.policy, partial(_replace, judge, metrics), teller.say,
        watch=plan.watched,
    )  # fmt: skip
    metrics.policy(plan.policy.name, plan.policy.digest)
    gpu.subscribe(alarm.see)
    gpu.start()
    keeper.start()
    try:
        if plan.metrics is not None:
            serve_metrics(metrics, *plan.metrics)
        with closing(open_control(loop, judge, Desk(judge, loop, blamed, plan), plan)):
            declared = len(plan.policy.gpu.workloads)
            teller.say(f"firewall: policy {plan.policy.name}, {declared} workloads declared")
            yield loop, reload
    finally:
        gpu.stop()
        reload.close()
        log.close()
        keeper.close()
        teller.close()
        loop.close()


def _replace(judge: Judge, metrics: Metrics, policy: Policy) -> None:
    judge.policy = policy
    metrics.policy(policy.name, policy.digest)
    judge.note("policy", policy.facts())


def _signalled(loop: Loop, reload: Reload, number: signal.Signals) -> None:
    if number == signal.SIGHUP:
        loop.post(reload.now)
    elif number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        loop.stop()


class Desk:
    """Answers `firewall sandbox`: what is watched, and the release of what was frozen."""

    def __init__(self, judge: Judge, loop: Loop, blamed: Blamed, plan: Plan) -> None:
        self._judge = judge
        self._loop = loop
        self._blamed = blamed
        self._plan = plan
        self._started = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def status(self) -> dict[str, Any]:
        stopped = self._blamed.stopped
        return {
            "name": self._plan.name,
            "pid": os.getpid(),
            "policy": self._judge.policy.name,
            "started": self._started,
            "state": "frozen" if stopped else "watching",
            "since": self._started,
            "why": f"{stopped} processes are stopped" if stopped else "",
        }

    def impose(self, by: str, *, freeze: bool, reply: Reply) -> None:
        reply({"error": f"{self._plan.name} watches GPUs and has no egress to close"})

    def release(self, by: str, reply: Reply) -> None:
        """Continue what was frozen, once that is recorded."""

        def recorded(error: Exception | None) -> None:
            if error is not None:
                self._loop.post(lambda: reply({"error": f"it cannot be recorded: {error}"}))
            else:
                self._blamed.thaw(thawed)

        def thawed(processes: int, trouble: str) -> None:
            answer = {"error": trouble} if trouble else self.status()
            self._loop.post(lambda: reply(answer))

        facts = {"sandbox": self._plan.name, "by": by, "processes": self._blamed.stopped}
        self._judge.note("gpu-release", facts, recorded)
