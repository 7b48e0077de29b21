"""One thread asks the GPUs once a second; whoever needs their state takes what it found.

NVML calls hold a lock of the driver that all GPU programs share and may take seconds, so nobody
else calls them. A second thread answers those whom a slow reading keeps waiting.
"""

import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from firewall.actor import Actor
from firewall.frozen import frozen
from firewall.gpu import snapshot
from firewall.gpu.aftermath import Aftermath, Tell
from firewall.gpu.backend import Backend, Device, Nvml, UnavailableError
from firewall.gpu.reading import Sandboxes, read_devices
from firewall.gpu.view import GpuView

logger = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between readings."""
RING = 300
"""Readings kept: five minutes."""
HISTORY = 60
"""Readings that a record tells: the minute before."""
PATIENCE = 0.25
"""Seconds that `fresh` may take."""
FRESH = 0.1
"""Seconds for which a reading counts as fresh, so that a flood of blocks is no flood of queries."""
WHOLE = 4
"""Records that tell all of one moment. In a flood the others tell the actor's own part: a whole one
may be 100 kB long, and an agent can have thousands written in seconds."""
STALE = 5.0
"""Seconds after which the last reading says nothing about now."""
RETRY = 60.0
"""Seconds between attempts to reach a library that is missing or a driver that was lost."""
RELIST = 60.0
"""Seconds for which the list of devices stands: names, MIG instances, and those that were lost."""

type Snapshot = dict[str, Any]


@frozen
class _Waiter:
    actor: Actor
    done: Callable[[Mapping[str, Any]], None]
    asked: float
    deadline: float
    before: GpuView | None


class GpuMonitor:
    """Samples the GPUs from `start` to `stop`. Every method may be called from any thread.

    A snapshot is a JSON-ready dictionary: `status` "ok" or "unavailable"; `reason`, None where
    there is nothing to explain; `sampled_at` (RFC 3339) and `age_ms` of the reading; `devices` with
    the members of DeviceView, each process with its `relation` to the actor; `before`, the last
    reading before the question, with its age then; `history`, the minute before; `cost`, what the
    reading took in seconds; and `moment`, by which a follow-up (aftermath.py) names it. Unavailable
    never looks like idle: then there are no devices. Of many records of one moment the first few
    are whole; the others lack `history`, `before` and processes that are not the actor's.

    `sandboxes` tells the sandboxes that run now, by the inode of their network namespace; it is
    asked at each reading.
    """

    def __init__(
        self,
        backend: Backend | None = None,
        *,
        sandboxes: Callable[[], Sandboxes] = dict,
        period: float = PERIOD,
        patience: float = PATIENCE,
        retry: float = RETRY,
    ) -> None:
        self._backend = backend or Nvml()
        self._sandboxes = sandboxes
        self._period = period
        self._patience = patience
        self._retry = retry
        self._changed = threading.Condition()
        self._running = False
        self._problem: str | None = "the GPU monitor was not started"
        self._sample: GpuView | None = None
        self._ring: deque[GpuView] = deque(maxlen=RING)
        self._history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self._subscribers: list[Callable[[GpuView], None]] = []
        self._aftermath = Aftermath()
        self._name = secrets.token_hex(6)
        self._tellings = ("", 0)
        self._waiting: deque[_Waiter] = deque()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to sample; returns at once, whether there is a GPU or not."""
        self._running, self._problem = True, None
        for name, work in (("gpu sampler", self._run), ("gpu watchdog", self._watch)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End both threads and answer whoever still waits, by the last reading.

        An agent often ends with its blocked attempt. A hung driver is not waited for.
        """
        with self._changed:
            self._running = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(2 * self._patience)
        self._threads.clear()
        self._answer("the GPU monitor was stopped")
        with self._changed:
            self._problem = "the GPU monitor was stopped"
        self._answer()
        self._aftermath.stop(time.monotonic(), self.recent())

    def subscribe(self, callback: Callable[[GpuView], None]) -> None:
        """Call `callback` with each reading of the ring, once a period, on the sampler's thread.

        It must be quick: the next reading waits for it, and whoever asks for a fresh one meanwhile
        gets the last. What it raises is logged. A reading that failed is told as unavailable.
        """
        with self._changed:
            self._subscribers.append(callback)

    def follow(self, tell: Tell) -> None:
        """Call `tell` with what the GPUs did in the minute after each moment that `fresh` told.

        It is given `moments`, `ended` (why it ends), `missed` (moments that were too many to
        follow) and `gpu`, on the sampler's thread; what there is when the monitor stops.
        """
        self._aftermath.tell = tell

    def recent(self) -> tuple[GpuView, ...]:
        """The readings of the last five minutes, oldest first."""
        with self._changed:
            return tuple(self._ring)

    def latest(self) -> Snapshot:
        """The newest reading; nothing is asked of the GPUs."""
        return self._snapshot()

    def fresh(self, actor: Actor, done: Callable[[Mapping[str, Any]], None]) -> None:
        """Call `done` once with a new reading, its processes marked whether they are `actor`'s.

        Returns at once. `done` runs on the sampler's thread; on the watchdog's, with the last
        reading, when the new one takes longer than the patience; and on this one, at once, where
        there is no GPU to ask.
        """
        with self._changed:
            if self._problem is None:
                self._waiting.append(self._waiter(actor, done))
                if len(self._waiting) == 1:
                    self._changed.notify_all()
                return
            waiter = self._waiter(actor, done)
        _tell(done, self._told(waiter))

    def _waiter(self, actor: Actor, done: Callable[[Mapping[str, Any]], None]) -> _Waiter:
        now = time.monotonic()
        return _Waiter(actor, done, now, now + self._patience, self._sample)

    def _run(self) -> None:
        while self._running:
            try:
                self._sample_all()
            except UnavailableError as error:
                self._lose(str(error))
            except Exception as error:
                logger.exception("the GPU sampler failed")
                self._lose(f"the GPU sampler failed: {error!r}")
            with self._changed:
                self._changed.wait_for(lambda: not self._running, self._retry)

    def _sample_all(self) -> None:
        """Read until stopped; raises UnavailableError where there is no library or no driver."""
        self._backend.open()
        try:
            self._sample_until_stopped()
        finally:
            self._backend.close()

    def _sample_until_stopped(self) -> None:
        devices: Sequence[Device] = ()
        tick = listed = -math.inf
        while self._running:
            now = time.monotonic()
            if now >= listed + RELIST:
                devices, listed = self._backend.devices(), now
            if now >= tick:
                self._read(devices)
                self._publish()
                tick = time.monotonic() + self._period
            elif self._age() > FRESH:
                self._read(devices)
            self._answer()
            with self._changed:
                self._changed.wait_for(self._is_wanted, tick - time.monotonic())

    def _is_wanted(self) -> bool:
        return bool(self._waiting) or not self._running

    def _read(self, devices: Sequence[Device]) -> None:
        now, taken = time.time(), time.monotonic()
        found = read_devices(self._backend, devices, self._sandboxes(), now, taken)
        with self._changed:
            self._sample = found
            if self._running:
                self._problem = None

    def _publish(self) -> None:
        """Keep the reading and tell those who judge it."""
        if self._sample is not None:
            self._tell_all(self._sample)

    def _tell_all(self, view: GpuView) -> None:
        with self._changed:
            self._ring.append(view)
            self._history.append(snapshot.line(view))
            subscribers = tuple(self._subscribers)
        for each in subscribers:
            _tell(each, view)
        self._aftermath.due(view.taken, self.recent)

    def _lose(self, reason: str) -> None:
        """Nothing can be read: say so to those who wait, and to all who come until it can."""
        with self._changed:
            if self._running:
                self._problem = reason
        self._tell_all(GpuView(time.time(), time.monotonic(), unavailable=reason))
        self._answer()

    def _watch(self) -> None:
        """Answer those whom the sampler keeps waiting too long."""
        while self._running:
            with self._changed:
                self._changed.wait_for(self._is_wanted)
                if self._waiting:
                    self._changed.wait(self._waiting[0].deadline - time.monotonic())
            self._answer("fresh reading timed out", due=time.monotonic())

    def _answer(self, note: str = "", due: float = math.inf) -> None:
        """Answer those whose time is up: who takes one out of the queue answers it, so once."""
        with self._changed:
            waiters = []
            while self._waiting and self._waiting[0].deadline <= due:
                waiters.append(self._waiting.popleft())
        for waiter in waiters:
            _tell(waiter.done, self._told(waiter, note))

    def _age(self) -> float:
        """Seconds since the last reading."""
        return math.inf if self._sample is None else time.monotonic() - self._sample.taken

    def _told(self, waiter: _Waiter, note: str = "") -> Snapshot:
        """What a record tells of the moment it was asked for; that moment is followed."""
        told = self._snapshot(waiter.actor, note)
        if told["moment"] is not None:
            self._aftermath.add(told["moment"], waiter.asked)
            if self._tells_again(told["moment"]):
                return snapshot.brief(told)
        return {**told, "before": _before(waiter)}

    def _tells_again(self, moment: str) -> bool:
        """Whether enough records have told all of it."""
        with self._changed:
            last, count = self._tellings
            self._tellings = (moment, count + 1 if moment == last else 1)
            return self._tellings[1] > WHOLE

    def _snapshot(self, actor: Actor | None = None, note: str = "") -> Snapshot:
        with self._changed:
            sample, history, age = self._sample, list(self._history), self._age()
            problem = self._problem or _too_old(age)
        known = sample if not problem else None
        return {
            "status": "unavailable" if problem else "ok",
            "reason": "; ".join(each for each in (note, problem) if each) or None,
            "moment": f"{self._name}-{known.taken * 1000:.0f}" if known else None,
            "sampled_at": snapshot.rfc3339(sample.at) if sample else None,
            "age_ms": round(age * 1000, 1) if sample else None,
            "cost": {"nvml": known.nvml_seconds, "cpu": known.cpu_seconds} if known else {},
            "devices": snapshot.devices(known, actor) if known else [],
            "history": history,
        }


def _before(waiter: _Waiter) -> Snapshot | None:
    """The last reading before the question, if it was in the minute before."""
    last = waiter.before
    if last is None or waiter.asked - last.taken > HISTORY:
        return None
    return {
        "sampled_at": snapshot.rfc3339(last.at),
        "age_ms": round((waiter.asked - last.taken) * 1000, 1),
        "devices": snapshot.devices(last, waiter.actor),
    }


def _too_old(age: float) -> str | None:
    if age <= STALE:
        return None
    return "there is no reading yet" if age == math.inf else f"the last reading is {age:.0f} s old"


def _tell[Told](done: Callable[[Told], None], told: Told) -> None:
    try:
        done(told)
    except Exception:
        logger.exception("a waiter of the GPU monitor failed")
