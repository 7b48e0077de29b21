"""What Prometheus may know: counts of verdicts, flows, bytes, waits, and the state of the GPUs.

Counting is plain arithmetic under one lock, about a microsecond, whether anyone scrapes or not.
The Prometheus client is imported when first asked to serve them (exposition.py). Labels never take
values from an agent: each has a known set, or a limit after which new values count as "other".
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

from firewall.frozen import frozen
from firewall.quota import State
from firewall.requests import Direction, Protocol

type SandboxState = Literal["running", "quarantined", "frozen"]
type States = Callable[[], Iterable[State]]
type FlowState = Literal["identifying", "deciding", "relaying", "inspecting", "refusing"]

BUCKETS = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.25, 1.0)
"""Upper bounds in seconds: from a decision's ten microseconds to a disk that hardly answers."""

VALUES_LIMIT = 1_000
"""Values of one label. Rules come from the policy and are few; a mistake must stay small."""

VALUE_LENGTH = 100
OTHER = "other"
_FAULT = "fail-closed."
_PROTOCOLS = frozenset(get_args(Protocol.__value__))
_STATES = frozenset(get_args(FlowState.__value__))
_SPOKEN: Mapping[str, str] = {
    "Resolve": "dns",
    "Message": "message",
    "SshChannel": "ssh",
    "Execute": "exec",
    "ToolCall": "tool",
}


class Histogram:
    """Counts by bucket, and the sum, of observations in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def merge(self, counts: Iterable[int], seconds: float) -> None:
        """Count what another histogram has counted."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, counts, strict=True)]
        self.sum += seconds

    def copy(self) -> "Histogram":
        """The same counts, which no longer change."""
        copy = Histogram()
        copy.counts, copy.sum = list(self.counts), self.sum
        return copy


@frozen
class Evidence:
    """The audit log at one moment: records that wait for the disk, whether checkpoints can be
    signed, and the newest one's number and time (seconds since the epoch), where there is one."""

    waiting: int
    signing: bool
    newest: tuple[int, float] | None


@frozen
class WorkerState:
    """A worker at one moment: its number, whether it serves, its flows, and how often it was
    started again."""

    number: int
    serves: bool
    flows: int
    restarts: int


class Metrics:
    """Counts what happens, from any thread, and shows it to Prometheus.

    `gpu` returns the monitor's latest snapshot and `audit` the log's state ("ok" or why not) and
    `evidence` the rest of it, `workers` who serves; all are called when scraped.
    """

    def __init__(
        self,
        *,
        gpu: Callable[[], Mapping[str, Any]] | None = None,
        audit: Callable[[], str] | None = None,
        evidence: Callable[[], Evidence] | None = None,
        workers: Callable[[], Iterable[WorkerState]] = tuple,
    ) -> None:
        self._gpu = gpu
        self._audit = audit
        self._evidence = evidence
        self._workers = workers
        self._lock = threading.Lock()
        self._limits: list[States] = []
        self._verdicts: Counter[tuple[str, str, str, str]] = Counter()
        self._faults: Counter[str] = Counter()
        self._flows: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._decisions = Histogram()
        self._appends = Histogram()
        self._rules: set[str] = set()
        self._points: set[str] = set()
        self._alerts: Counter[tuple[str, str]] = Counter()
        self._active: Counter[tuple[str, str]] = Counter()
        self._responses: Counter[tuple[str, str]] = Counter()
        self._sandboxes = 0
        self._state: SandboxState = "running"
        self._policy: tuple[str, str] | None = None

    def verdict(self, event: Mapping[str, Any], seconds: float) -> None:
        """Count one decision that took `seconds`; one that failed closed is a fault as well.

        `event` is what the decision's audit record says.
        """
        verdict, rule = event["verdict"], str(event["verdict"]["rule"])
        protocol = _protocol(event["request"])
        enforced = "true" if verdict["enforced"] else "false"
        with self._lock:
            known = _bounded(self._rules, rule)
            self._verdicts[verdict["action"], known, protocol, enforced] += 1
            self._decisions.add(seconds)
        if rule.startswith(_FAULT):
            self.fault(rule.removeprefix(_FAULT))

    @property
    def allowed(self) -> int:
        """How many requests were allowed so far."""
        with self._lock:
            return sum(count for key, count in self._verdicts.items() if key[0] == "allow")

    def fault(self, point: str) -> None:
        """Count a failure of an enforcement point."""
        with self._lock:
            self._faults[_bounded(self._points, point)] += 1

    def gpu_alert(self, rule: str, severity: str, state: str) -> None:
        """An alert about GPU use was raised, goes on, or is cleared."""
        with self._lock:
            if state == "raised":
                self._alerts[rule, severity] += 1
                self._active[rule, severity] += 1
            elif state == "cleared":
                self._active[rule, severity] -= 1

    def gpu_response(self, respond: str, outcome: str) -> None:
        """A response to an alert is done, failed, or was a dry-run."""
        with self._lock:
            self._responses[respond, outcome] += 1

    def flow(self, state: FlowState, change: int) -> None:
        """So many flows more, or fewer, are in a state."""
        with self._lock:
            self._flows[state if state in _STATES else OTHER] += change

    def flow_went(self, before: FlowState, after: FlowState) -> None:
        """A flow has left one state for another."""
        with self._lock:
            self._flows[before if before in _STATES else OTHER] -= 1
            self._flows[after if after in _STATES else OTHER] += 1

    def bytes(self, direction: Direction, count: int) -> None:
        """So many bytes passed, as the agent sees the direction."""
        with self._lock:
            self._bytes[direction] += count

    def append(self, seconds: float) -> None:
        """One audit record became durable after `seconds`."""
        with self._lock:
            self._appends.add(seconds)

    def merge(self, changes: Mapping[str, Any]) -> None:
        """Count what a worker has counted (changes.py)."""
        with self._lock:
            for (action, rule, protocol, enforced), count in changes["verdicts"]:
                known = _bounded(self._rules, rule)
                self._verdicts[action, known, protocol, enforced] += count
            self._flows.update(changes["flows"])
            self._bytes.update(changes["bytes"])
            self._decisions.merge(*changes["decisions"])
            self._appends.merge(*changes["appends"])

    def ended(self, flows: Mapping[str, int]) -> None:
        """These flows ended with the worker that had them."""
        with self._lock:
            self._flows.subtract(flows)

    def sandbox(self, change: int) -> None:
        """So many sandboxes more, or fewer, are running."""
        with self._lock:
            self._sandboxes += change

    def state(self, state: SandboxState) -> None:
        """Whether the sandbox, or what `firewall serve` serves, may reach anything."""
        with self._lock:
            self._state = state

    def policy(self, name: str, digest: str) -> None:
        """The policy now in force."""
        with self._lock:
            self._policy = (name, digest)

    def limited(self, states: States) -> Callable[[], None]:
        """Tell what `states` says is left of limits, whenever scraped, until what this returns is
        called."""

        def forget() -> None:
            with self._lock:
                if states in self._limits:
                    self._limits.remove(states)

        with self._lock:
            self._limits.append(states)
        return forget

    def serve(self, address: str, port: int) -> int:
        """Answer scrapes from a thread of its own; returns the port, chosen if `port` is 0.

        Raises OSError where the address cannot be bound.
        """
        from firewall.metrics.exposition import serve  # 60 ms, for those who want it

        return serve(self.snapshot, address, port)

    def snapshot(self) -> "Snapshot":
        """All numbers at this moment."""
        gpu = self._gpu() if self._gpu else None
        audit = self._audit() if self._audit else None
        evidence = self._evidence() if self._evidence else None
        workers = tuple(self._workers())
        limits = _least(each for states in list(self._limits) for each in states())
        with self._lock:
            return Snapshot(
                verdicts=dict(self._verdicts),
                faults=dict(self._faults),
                flows=dict(self._flows),
                bytes=dict(self._bytes),
                decisions=self._decisions.copy(),
                appends=self._appends.copy(),
                alerts=dict(self._alerts),
                active=dict(self._active),
                responses=dict(self._responses),
                sandboxes=self._sandboxes,
                state=self._state,
                policy=self._policy,
                audit=audit,
                evidence=evidence,
                workers=workers,
                limits=limits,
                gpu=gpu,
            )


@frozen
class Snapshot:
    """The numbers as they were at one moment; keys are label values in the order of their names."""

    verdicts: Mapping[tuple[str, str, str, str], int]
    faults: Mapping[str, int]
    flows: Mapping[str, int]
    bytes: Mapping[str, int]
    decisions: Histogram
    appends: Histogram
    alerts: Mapping[tuple[str, str], int]
    active: Mapping[tuple[str, str], int]
    responses: Mapping[tuple[str, str], int]
    sandboxes: int
    state: SandboxState
    policy: tuple[str, str] | None
    audit: str | None
    evidence: Evidence | None
    workers: tuple[WorkerState, ...]
    limits: Mapping[tuple[str, str, str, str], State]
    gpu: Mapping[str, Any] | None


def _least(states: Iterable[State]) -> dict[tuple[str, str, str, str], State]:
    """By rule, measure, window in seconds and per: the least that is left in any sandbox."""
    found: dict[tuple[str, str, str, str], State] = {}
    for each in states:
        limit = each.limit
        key = limit.name, limit.measure, str(limit.seconds), limit.per
        found[key] = min(found.get(key, each), each, key=lambda state: state.left)
    return found


def _bounded(known: set[str], value: str) -> str:
    """The value, or "other" once there are too many or where it is no short plain text."""
    if value in known:
        return value
    if len(known) >= VALUES_LIMIT or len(value) > VALUE_LENGTH or not value.isprintable():
        return OTHER
    known.add(value)
    return value


def _protocol(request: Mapping[str, Any]) -> str:
    """What was spoken, from a known set."""
    kind = request["type"]
    if kind == "Connect":
        return str(request["protocol"]) if request["protocol"] in _PROTOCOLS else OTHER
    if kind == "HttpRequest":
        return str(request["scheme"]) if request["scheme"] in ("http", "https") else OTHER
    return _SPOKEN.get(kind, OTHER)
