"""One thread asks the GPUs once a second; whoever needs their state takes what it found.

NVML calls hold a lock of the driver that all GPU programs share and may take seconds, so nobody
else calls them. A second thread answers those whom a slow reading keeps waiting.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from firewall.actor import Actor
from firewall.gpu.backend import Backend, Device, Nvml, UnavailableError
from firewall.gpu.reading import attribute, read_devices

logger = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between readings."""
HISTORY = 60
"""Readings kept."""
PATIENCE = 0.25
"""Seconds that `fresh` may take."""
FRESH = 0.1
"""Seconds for which a reading counts as fresh, so that a flood of blocks is no flood of queries."""
STALE = 5.0
"""Seconds after which the last reading says nothing about now."""
RETRY = 60.0
"""Seconds between attempts to reach a library that is missing or a driver that was lost."""

type Snapshot = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Sample:
    """One reading; `taken` is by the monotonic clock, in seconds."""

    devices: list[dict[str, Any]]
    sampled_at: str
    taken: float


@dataclass(frozen=True, slots=True)
class _Waiter:
    actor: Actor
    done: Callable[[Mapping[str, Any]], None]
    deadline: float


class GpuMonitor:
    """Samples the GPUs from `start` to `stop`. Every method may be called from any thread.

    A snapshot is a JSON-ready dictionary: `status` "ok" or "unavailable"; `reason`, None where
    there is nothing to explain; `sampled_at` (RFC 3339) and `age_ms` of the reading; `devices` with
    utilisation (percent), memory (bytes), power (watts), clock (MHz), processes, and in
    `unavailable` what could not be read and why; `history`, the last minute. Unavailable never
    looks like idle: then there are no devices.
    """

    def __init__(
        self,
        backend: Backend | None = None,
        *,
        period: float = PERIOD,
        patience: float = PATIENCE,
        retry: float = RETRY,
    ) -> None:
        self._backend = backend or Nvml()
        self._period = period
        self._patience = patience
        self._retry = retry
        self._changed = threading.Condition()
        self._running = False
        self._problem: str | None = "the GPU monitor was not started"
        self._sample: _Sample | None = None
        self._history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
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
        """End both threads and answer whoever still waits. A hung driver is not waited for."""
        with self._changed:
            self._running, self._problem = False, "the GPU monitor was stopped"
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(2 * self._patience)
        self._threads.clear()
        self._answer()

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
                waiter = _Waiter(actor, done, time.monotonic() + self._patience)
                self._waiting.append(waiter)
                if len(self._waiting) == 1:
                    self._changed.notify_all()
                return
        _tell(done, self._snapshot(actor))

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
        devices = self._backend.open()
        tick = time.monotonic()
        try:
            while self._running:
                if time.monotonic() >= tick:
                    self._read(devices)
                    self._remember()
                    tick = time.monotonic() + self._period
                elif self._age() > FRESH:
                    self._read(devices)
                self._answer()
                with self._changed:
                    self._changed.wait_for(self._is_wanted, tick - time.monotonic())
        finally:
            self._backend.close()

    def _is_wanted(self) -> bool:
        return bool(self._waiting) or not self._running

    def _read(self, devices: Sequence[Device]) -> None:
        now = time.time()
        found = read_devices(self._backend, devices, int(now * 1_000_000))
        with self._changed:
            self._sample = _Sample(found, _rfc3339(now), time.monotonic())
            if self._running:
                self._problem = None

    def _remember(self) -> None:
        with self._changed:
            if self._sample is not None:
                self._history.append(_summary(self._sample))

    def _lose(self, reason: str) -> None:
        """Nothing can be read: say so to those who wait, and to all who come until it can."""
        with self._changed:
            if self._running:
                self._problem = reason
            self._history.append({"sampled_at": _rfc3339(time.time()), "unavailable": reason})
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
            _tell(waiter.done, self._snapshot(waiter.actor, note))

    def _age(self) -> float:
        """Seconds since the last reading."""
        return math.inf if self._sample is None else time.monotonic() - self._sample.taken

    def _snapshot(self, actor: Actor | None = None, note: str = "") -> Snapshot:
        with self._changed:
            sample, history, age = self._sample, list(self._history), self._age()
            problem = self._problem or _too_old(age)
        devices = sample.devices if sample and not problem else []
        return {
            "status": "unavailable" if problem else "ok",
            "reason": "; ".join(each for each in (note, problem) if each) or None,
            "sampled_at": sample.sampled_at if sample else None,
            "age_ms": round(age * 1000, 1) if sample else None,
            "devices": attribute(devices, actor) if actor else devices,
            "history": history,
        }


def _too_old(age: float) -> str | None:
    if age <= STALE:
        return None
    return "there is no reading yet" if age == math.inf else f"the last reading is {age:.0f} s old"


def _summary(sample: _Sample) -> dict[str, Any]:
    """A reading as the history keeps it: one list per quantity, one item per device."""
    kept = ("utilisation", "memory_used", "power_watts")
    values = {name: [device[name] for device in sample.devices] for name in kept}
    return {"sampled_at": sample.sampled_at, **values}


def _rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _tell(done: Callable[[Mapping[str, Any]], None], snapshot: Snapshot) -> None:
    try:
        done(snapshot)
    except Exception:
        logger.exception("a waiter of the GPU monitor failed")
