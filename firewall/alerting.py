"""Alerts about GPU use: from a reading to the record, the count, the line, and what is done of it.

What the judge denied is remembered for the join of GPU work and denied egress. A response is
recorded before it begins and when it has ended, and never runs on the sampler's thread.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

from firewall import judge
from firewall.actor import Actor, Process
from firewall.audit import describe
from firewall.causes import Cause
from firewall.events import suspected
from firewall.gpu.alerts import Alert, Denial, Denials
from firewall.gpu.detector import Detector
from firewall.gpu.processes import container
from firewall.gpu.view import DeviceView, GpuView, ProcessView
from firewall.judge import Judge, fail_closed
from firewall.metrics import Metrics
from firewall.verdict import Verdict
from firewall.workloads import STOPPING, GpuPolicy

_INSIDE = ("Execute", "ToolCall", "Fault")
"""Requests that are no egress."""
_DEVICE = ("index", "uuid", "name", "mig", "utilisation", "memory_used", "power_watts")

type Mine = Callable[[ProcessView], bool]
type Stopped = Callable[[int, str], None]


class Hands(Protocol):
    """What this firewall can do to processes. Called on a thread of its own; may block."""

    def close(self, processes: Sequence[ProcessView], cause: Cause) -> str:
        """Close their egress; says what could not be closed, "" if all is."""

    def freeze(self, processes: Sequence[ProcessView], done: Stopped) -> None:
        """Stop them and all that they started; `done` gets how many, and what went wrong."""

    def terminate(self, processes: Sequence[ProcessView], done: Stopped) -> None:
        """End them and all that they started."""


def everyone(process: ProcessView) -> bool:
    """Whose GPU use is judged where no sandbox is: that of every process on the machine."""
    return True


def only(view: GpuView, mine: Mine) -> GpuView:
    """A reading without other people's processes, and without what they do to the devices.

    A device whose processes could not be listed stays as it is: nobody is told from anybody there.
    """
    if mine is everyone:
        return view
    return replace(view, devices=tuple(_mine(each, mine) for each in view.devices))


def _mine(device: DeviceView, mine: Mine) -> DeviceView:
    if device.processes is None:
        return device
    kept = tuple(each for each in device.processes if mine(each))
    if kept and kept == device.processes:
        return device
    shares = [each.sm for each in kept if each.sm is not None]
    use = min(sum(shares), 100) if len(shares) == len(kept) else None
    return replace(device, processes=kept, utilisation=use, power_watts=None)


class Alarm:
    """Feeds the detector of the policy in force and carries out what its alerts ask for.

    `see` takes readings, on one thread; `verdict` what the judge decided, on any. `tell` says a
    line to the engineer. Only processes that are `mine` are judged, and what they use of devices.
    """

    def __init__(
        self,
        judge: Judge,
        metrics: Metrics,
        tell: Callable[[str], None],
        hands: Hands,
        mine: Mine = everyone,
    ) -> None:
        self._judge = judge
        self._metrics = metrics
        self._tell = tell
        self._hands = hands
        self._mine = mine
        self._denials = Denials()
        self._policy = judge.policy.gpu
        self._detector = Detector(self._policy)

    def verdict(self, event: Mapping[str, Any]) -> None:
        """Remember a denial of egress, or what is suspicious."""
        if (denial := denial_of(event, monotonic())) is not None:
            self._denials.add(denial)

    def see(self, view: GpuView) -> None:
        """Judge one reading."""
        with fail_closed(self._judge, "gpu.alarm", _recorded):
            judge.probe("gpu.alarm")
            self._renew(self._judge.policy.gpu, view)
            for alert in self._detector.see(only(view, self._mine), self._denials.take()):
                self._raise(alert)

    def _renew(self, policy: GpuPolicy, view: GpuView) -> None:
        """Judge by the policy in force: where it is another, what was raised before is cleared.

        Whatever else is edited in its file, what the detector has learned is kept.
        """
        if policy != self._policy:
            for alert in self._detector.end(view):
                self._raise(alert)
            self._policy = policy
            self._detector = Detector(policy, self._detector.raised)
        self._detector.rules = policy.rules

    def _raise(self, alert: Alert) -> None:
        rule = alert.rule
        self._metrics.gpu_alert(rule.full_name, rule.severity, alert.state)
        facts = {**told(alert), "policy_digest": self._judge.policy.digest}
        if alert.state != "ongoing":
            self._tell(
                f"firewall: {rule.full_name} {alert.state} ({rule.severity}): {alert.reason}"
            )
        if alert.state == "raised" and rule.respond != "alert":
            self._judge.note("gpu-alert", facts, lambda error: self._begin(alert, facts, error))
        else:
            self._judge.note("gpu-alert", facts)

    # Responding

    def _begin(self, alert: Alert, facts: Mapping[str, Any], error: Exception | None) -> None:
        """The record is written, or cannot be: what closes egress is done all the same."""
        if alert.rule.dry_run or self._judge.policy.mode == "observe":
            self._end(alert, "dry-run")
        else:
            work = threading.Thread(
                target=self._respond, args=(alert, facts), name="gpu response", daemon=True
            )
            work.start()

    def _respond(self, alert: Alert, facts: Mapping[str, Any]) -> None:
        respond, processes = alert.rule.respond, alert.processes
        freeze = respond == "freeze"
        cause = Cause(alert.rule.full_name, alert.reason, freeze, trigger=facts)

        def shut(verdict: Verdict) -> None:
            self._judge.quarantine(replace(cause, freeze=False))
            self._end(alert, "failed", trouble=verdict.reason)

        with fail_closed(self._judge, "gpu.response", shut):
            judge.probe("gpu.response")
            self._note(alert, "begun")
            trouble = self._hands.close(processes, cause)

            def stopped(count: int, more: str) -> None:
                # What stands still sends nothing, whether its egress could be closed or not.
                failed = more if respond in STOPPING else trouble
                both = "; ".join(each for each in (trouble, more) if each)
                self._end(alert, "failed" if failed else "done", stopped=count, trouble=both)

            if respond not in STOPPING:
                stopped(0, "")
            elif freeze:
                self._hands.freeze(processes, stopped)
            else:
                self._hands.terminate(processes, stopped)

    def _end(self, alert: Alert, outcome: str, **facts: Any) -> None:
        self._metrics.gpu_response(alert.rule.respond, outcome)
        self._note(alert, outcome, **facts)
        if facts.get("trouble"):
            self._tell(f"firewall: {alert.rule.full_name}: {facts['trouble']}")

    def _note(self, alert: Alert, stage: str, **facts: Any) -> None:
        rule = alert.rule
        known = {"sandbox": _sandbox(alert), "rule": rule.full_name, "alert": alert.number}
        asked = {"respond": rule.respond, "stage": stage, "processes": _pids(alert)}
        self._judge.note("gpu-response", known | asked | facts)


def told(alert: Alert) -> dict[str, Any]:
    """What the record of an alert says, as JSON can hold it."""
    device = {name: getattr(alert.device, name) for name in _DEVICE}
    since = datetime.fromtimestamp(alert.since, UTC)
    return {
        "sandbox": _sandbox(alert),
        "rule": alert.rule.full_name,
        "source": alert.rule.source,
        "severity": str(alert.rule.severity),
        "state": alert.state,
        "alert": alert.number,
        "since": f"{since:%Y-%m-%dT%H:%M:%SZ}",
        "reason": alert.reason,
        "device": device,
        "processes": [describe(each) for each in alert.processes],
        "evidence": dict(alert.evidence),
        "respond": alert.rule.respond,
        "dry_run": alert.rule.dry_run,
    }


def _sandbox(alert: Alert) -> str:
    return next((each.sandbox for each in alert.processes if each.sandbox), "")


def _pids(alert: Alert) -> list[int]:
    return [each.pid for each in alert.processes]


def _recorded(verdict: Verdict) -> None:
    """A failure here refuses nobody anything: it is recorded, and the next reading is judged."""


def denial_of(event: Mapping[str, Any], at: float) -> Denial | None:
    """The denial that a verdict's event tells of, None where egress was allowed without suspicion.

    The firewall's own failures are no evidence, and neither are questions for names, which many
    programs ask in vain.
    """
    request, verdict, actor = event["request"], event["verdict"], event["actor"]
    critical = verdict["severity"] == "critical" or suspected(event)
    denied = verdict["action"] == "deny" or suspected(event)
    if not denied or request["type"] in _INSIDE or verdict["rule"].startswith("fail-closed."):
        return None
    if request["type"] == "Resolve" and not critical:
        return None
    return Denial(
        at=at,
        rule=verdict["rule"],
        reason=verdict["reason"],
        what=_what(request),
        actor=_actor(actor),
        critical=critical,
    )


def _actor(told: Mapping[str, Any]) -> Actor:
    """The actor of an event, and its container while that can still be looked up."""
    process = _process(told["process"]) if told["process"] else None
    where = container(process.pid) if process and not told["container"] else None
    return Actor(
        sandbox=told["sandbox"],
        process=process,
        ancestors=tuple(map(_process, told["ancestors"])),
        namespace=None if told["namespace"] == _own_namespace() else told["namespace"],
        container=told["container"] or (where.container if where else ""),
    )


def _process(told: Mapping[str, Any]) -> Process:
    return Process(**{**told, "argv": tuple(told["argv"])})


def _own_namespace() -> int:
    """The network namespace of this firewall, which tells nobody from all others."""
    return os.stat("/proc/self/ns/net").st_ino


def _what(request: Mapping[str, Any]) -> str:
    name = request.get("host") or request.get("name") or "?"
    port = f":{request['port']}" if "port" in request else ""
    return f"{request['type']} {name}{port}"
