"""One reading of all devices: which numbers to believe, and what to say of the rest.

A question that failed leaves None and a line in `unavailable`: never a zero, which would look like
an idle GPU.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from firewall.gpu.backend import (
    Backend,
    Device,
    DeviceLostError,
    QueryError,
    UnavailableError,
    Use,
)
from firewall.gpu.processes import has_ended, owner, sees_host_pids
from firewall.gpu.view import DeviceView, GpuView, ProcessView

WINDOW_US = 2_000_000
"""How far back a process's use is asked for. NVML samples once in 1/6 s to 1 s, by product; asking
from the newest sample seen instead would find none right after a reading and so look idle."""

CLOCK_LIMIT = 100_000
POWER_LIMIT = 100_000_000
MEMORY_LIMIT = 1 << 50
TEMPERATURE_LIMIT = 200
"""More than any device has: MHz, milliwatts, bytes, degrees. NVML hands out garbage now and then,
such as 2147483632 % (NVIDIA/DCGM issue 83)."""

STARTED_SLACK = 2.0
"""Seconds by which two ways to compute one start time may differ."""

FOREIGN_PIDS = "NVML's pids are the host's, and this process is in a pid namespace of its own"

ENDED = "no such process lives any more"
HIDDEN = "this firewall may not read it: run as root"

type Sandboxes = Mapping[int, str]
"""The sandboxes of ours, by the inode of their network namespace."""
type Look = Callable[[int], ProcessView | None]


def read_devices(
    backend: Backend, devices: Sequence[Device], sandboxes: Sandboxes, now: float, taken: float
) -> GpuView:
    """What each device says now, in seconds since the epoch and by the monotonic clock.

    Raises UnavailableError where every device is lost.
    """
    begun = time.thread_time()
    # One look a reading: a trainer is often on every device.
    look = cache(owner) if sees_host_pids() else None
    readings = [_Reading(backend, device, now, sandboxes, look) for device in devices]
    views = tuple(each.take() for each in readings)
    reasons = [each.unavailable["device"] for each in views if "device" in each.unavailable]
    if devices and len(reasons) == len(devices):
        raise UnavailableError(f"the driver or every device is lost: {reasons[0]}")
    inside = sum(each.seconds for each in readings)
    return GpuView(now, taken, views, "", inside, time.thread_time() - begun)


class _Reading:
    """Asks one device all questions and notes which it did not answer."""

    def __init__(
        self,
        backend: Backend,
        device: Device,
        now: float,
        sandboxes: Sandboxes,
        look: Look | None,
    ) -> None:
        self.seconds = 0.0
        self._backend = backend
        self._device = device
        self._now = now
        self._sandboxes = sandboxes
        self._look = look
        self._unavailable: dict[str, str] = {}

    def take(self) -> DeviceView:
        """Every field of the device; after it is lost, none is asked for any more."""
        device, backend = self._device, self._backend
        used, total = self._ask("memory", lambda: _memory(*backend.memory(device))) or (None, None)
        milliwatts = self._ask(
            "power_watts", lambda: _believable(backend.power(device), POWER_LIMIT, "mW")
        )
        kernels, copies = self._ask("utilisation", self._utilisation) or (None, None)
        sm_clock, memory_clock = self._ask("clocks", self._clocks) or (None, None)
        throttle = self._ask("throttle", lambda: tuple(backend.throttle(device)))
        return DeviceView(
            device.index,
            device.uuid,
            device.name,
            device.mig,
            utilisation=kernels,
            memory_used=used,
            memory_total=total,
            power_watts=None if milliwatts is None else milliwatts / 1000,
            memory_use=copies,
            sm_clock_mhz=sm_clock,
            memory_clock_mhz=memory_clock,
            temperature_c=self._ask("temperature_c", self._temperature),
            throttle=throttle,
            ecc_uncorrected=self._ask("ecc_uncorrected", lambda: backend.ecc(device)),
            processes=self._processes(),
            unavailable=self._unavailable,
        )

    def _ask[Answer](self, field: str, question: Callable[[], Answer]) -> Answer | None:
        if "device" in self._unavailable:
            return None
        begun = time.perf_counter()
        try:
            return question()
        except DeviceLostError as error:
            self._unavailable["device"] = str(error)
        except QueryError as error:
            self._unavailable[field] = str(error)
        finally:
            self.seconds += time.perf_counter() - begun
        return None

    def _utilisation(self) -> tuple[int, int]:
        kernels, copies = self._backend.utilisation(self._device)
        return _believable(kernels, 100, "%"), _believable(copies, 100, "% of memory use")

    def _clocks(self) -> tuple[int, int]:
        sm, memory = self._backend.clocks(self._device)
        return _believable(sm, CLOCK_LIMIT, "MHz"), _believable(memory, CLOCK_LIMIT, "MHz")

    def _temperature(self) -> int:
        return _believable(self._backend.temperature(self._device), TEMPERATURE_LIMIT, "degrees")

    def _processes(self) -> tuple[ProcessView, ...] | None:
        device, backend = self._device, self._backend
        if device.partitioned:
            self._unavailable["processes"] = "this GPU's MIG instances tell them"
            return None
        listed = self._ask("processes", lambda: backend.processes(device))
        if listed is None:
            return None
        since = int((self._now - WINDOW_US / 1e6) * 1e6)
        samples = self._ask(
            "process_utilisation", lambda: backend.process_utilisation(device, since)
        )
        # The newest sample of each; a process without one did nothing in the window.
        use = {each.pid: each for each in sorted(samples or (), key=lambda each: each.time)}
        if self._look is None and (listed or use):
            self._unavailable["owners"] = FOREIGN_PIDS
        told = samples is not None
        pids = sorted(pid for pid in {*listed, *use} if pid > 0)
        return tuple(
            self._process(pid, *listed.get(pid, ("compute", None)), use.get(pid), told=told)
            for pid in pids
        )

    def _process(
        self, pid: int, kind: str, size: int | None, use: Use | None, *, told: bool
    ) -> ProcessView:
        found = self._owner(pid)
        if size is not None and not 0 <= size <= MEMORY_LIMIT:
            self._unavailable[f"memory of {pid}"] = f"NVML said {size} bytes"
            size = None
        sm, memory = self._use(found, use) if told else (None, None)
        return replace(found, kind=kind, memory_used=size, sm=sm, memory_use=memory)

    def _owner(self, pid: int) -> ProcessView:
        if self._look is None:
            return ProcessView(pid)
        found = self._look(pid)
        if found is None:
            ended = has_ended(pid)
            self._unavailable[f"owner of {pid}"] = ENDED if ended else HIDDEN
            return ProcessView(pid, ended=ended)
        where = found.namespace
        return replace(found, sandbox=None if where is None else self._sandboxes.get(where, ""))

    def _use(self, found: ProcessView, use: Use | None) -> tuple[int | None, int | None]:
        """Percent of the SMs and of the memory's time, where the sample can be this process's."""
        if use is None:
            return 0, 0
        reason = _wrong(found, use)
        if reason:
            self._unavailable[f"sm of {found.pid}"] = reason
            return None, None
        return use.sm, use.memory


def _wrong(found: ProcessView, use: Use) -> str:
    if not 0 <= use.sm <= 100:
        return f"NVML said {use.sm} %"
    if not 0 <= use.memory <= 100:
        return f"NVML said {use.memory} % of memory use"
    if found.started is not None and use.time / 1e6 < found.started - STARTED_SLACK:
        return "the sample is older than the process: its pid was another's"
    return ""


def _memory(used: int, total: int) -> tuple[int, int]:
    _believable(total, MEMORY_LIMIT, "bytes in all")
    return _believable(used, total, f"bytes used of {total}"), total


def _believable(value: int, limit: int, unit: str) -> int:
    if not 0 <= value <= limit:
        raise QueryError(f"NVML said {value} {unit}")
    return value
