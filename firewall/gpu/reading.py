"""One reading of all devices: which numbers to believe, and what to say of the rest.

A question that failed leaves None and a line in `unavailable`: never a zero, which would look like
an idle GPU.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from firewall.actor import Actor, Process
from firewall.gpu.backend import Backend, Device, DeviceLostError, QueryError, UnavailableError
from firewall.gpu.processes import Owner, owner, sees_host_pids

WINDOW_US = 2_000_000
"""How far back a process's use is asked for. NVML samples once in 1/6 s to 1 s, by product; asking
from the newest sample seen instead would find none right after a reading and so look idle."""

CLOCK_LIMIT = 100_000
POWER_LIMIT = 100_000_000
MEMORY_LIMIT = 1 << 50
"""More than any device has: MHz, milliwatts, bytes. NVML hands out garbage now and then, such as
2147483632 % (NVIDIA/DCGM issue 83)."""

STARTED_SLACK = 2.0
"""Seconds by which two ways to compute one start time may differ."""

type Look = Callable[[int], Owner]


def read_devices(backend: Backend, devices: Sequence[Device], now_us: int) -> list[dict[str, Any]]:
    """What each device says now, JSON-ready. Raises UnavailableError where every one is lost."""
    look = owner if sees_host_pids() else _nobody
    read = [_Reading(backend, device, now_us, look).take() for device in devices]
    reasons = [str(each["unavailable"]["device"]) for each in read if _lost(each)]
    if devices and len(reasons) == len(devices):
        raise UnavailableError(f"the driver or every device is lost: {reasons[0]}")
    return read


def _lost(device: Mapping[str, Any]) -> bool:
    return "device" in device["unavailable"]


def _nobody(pid: int) -> Owner:
    return Owner(None, None, None, None)


class _Reading:
    """Asks one device all questions and notes which it did not answer."""

    def __init__(self, backend: Backend, device: Device, now_us: int, look: Look) -> None:
        self._backend = backend
        self._device = device
        self._now_us = now_us
        self._look = look
        self._unavailable: dict[str, str] = {}

    def take(self) -> dict[str, Any]:
        """Every field of the device; after it is lost, none is asked for any more."""
        device = self._device
        used, total = self._ask("memory", self._memory) or (None, None)
        milliwatts = self._ask("power_watts", self._power)
        return {
            "index": device.index,
            "name": device.name,
            "uuid": device.uuid,
            "mig": device.mig,
            "utilisation": self._ask("utilisation", self._utilisation),
            "memory_used": used,
            "memory_total": total,
            "power_watts": None if milliwatts is None else milliwatts / 1000,
            "sm_clock_mhz": self._ask("sm_clock_mhz", self._clock),
            "processes": self._ask("processes", self._processes),
            "unavailable": self._unavailable,
        }

    def _ask[Answer](self, field: str, question: Callable[[], Answer]) -> Answer | None:
        if "device" in self._unavailable:
            return None
        try:
            return question()
        except DeviceLostError as error:
            self._unavailable["device"] = str(error)
        except QueryError as error:
            self._unavailable[field] = str(error)
        return None

    def _utilisation(self) -> int:
        return _believable(self._backend.utilisation(self._device), 100, "%")

    def _memory(self) -> tuple[int, int]:
        used, total = self._backend.memory(self._device)
        _believable(total, MEMORY_LIMIT, "bytes in all")
        return _believable(used, total, f"bytes used of {total}"), total

    def _power(self) -> int:
        return _believable(self._backend.power(self._device), POWER_LIMIT, "mW")

    def _clock(self) -> int:
        return _believable(self._backend.clock(self._device), CLOCK_LIMIT, "MHz")

    def _processes(self) -> list[dict[str, Any]]:
        found = dict(self._backend.processes(self._device))
        use = self._ask("process_utilisation", self._process_use)
        memory: dict[int, int | None] = {**dict.fromkeys(use or {}), **found}
        return [self._process(pid, size, use) for pid, size in sorted(memory.items()) if pid > 0]

    def _process_use(self) -> dict[int, int]:
        """The newest sample of each process; one without a sample did nothing in the window."""
        since = self._now_us - WINDOW_US
        samples = self._backend.process_utilisation(self._device, since)
        return {pid: sm for pid, sm, _ in sorted(samples, key=lambda sample: sample[2])}

    def _process(self, pid: int, size: int | None, use: dict[int, int] | None) -> dict[str, Any]:
        percent = None if use is None else use.get(pid, 0)
        if percent is not None and not 0 <= percent <= 100:
            self._unavailable[f"sm of {pid}"] = f"NVML said {percent} %"
            percent = None
        if size is not None and not 0 <= size <= MEMORY_LIMIT:
            self._unavailable[f"memory of {pid}"] = f"NVML said {size} bytes"
            size = None
        return {"pid": pid, "memory_used": size, "sm": percent, **asdict(self._look(pid))}


def _believable(value: int, limit: int, unit: str) -> int:
    if not 0 <= value <= limit:
        raise QueryError(f"NVML said {value} {unit}")
    return value


def attribute(devices: Sequence[Mapping[str, Any]], actor: Actor) -> list[dict[str, Any]]:
    """The devices with each process marked `own`: whether it is this actor's, None if unknown."""
    return [{**device, "processes": _marked(device["processes"], actor)} for device in devices]


BUSY = 20
"""Per cent of a GPU from which work is no accident: desktops and idle notebooks stay below."""


def busy(snapshot: Mapping[str, Any]) -> str:
    """The GPU work of the sandbox that a snapshot was taken for, in words; "" where it has none.

    A device that does not say what each process uses is taken at its whole.
    """
    for device in snapshot.get("devices", ()):
        for process in device["processes"] or ():
            use = device["utilisation"] if process["sm"] is None else process["sm"]
            if process["own"] and use is not None and use >= BUSY:
                who = f"process {process['pid']} of the same sandbox"
                return f"{who} uses GPU {device['index']} at {use} %"
    return ""


def _marked(
    processes: Sequence[Mapping[str, Any]] | None, actor: Actor
) -> list[dict[str, Any]] | None:
    if processes is None:
        return None
    return [{**process, "own": _own(process, actor)} for process in processes]


def _own(process: Mapping[str, Any], actor: Actor) -> bool | None:
    if _is_same(process, actor.process):
        return True
    if actor.namespace is None or process["namespace"] is None:
        return None
    return bool(process["namespace"] == actor.namespace)


def _is_same(process: Mapping[str, Any], asked: Process | None) -> bool:
    """Whether a process is the one that asked; its pid alone may belong to another by now."""
    if asked is None or asked.pid != process["pid"] or process["started"] is None:
        return False
    return bool(abs(asked.started - process["started"]) < STARTED_SLACK)
