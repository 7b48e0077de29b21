"""The GPUs as Prometheus metrics, in the field's terms where they mean the same.

Names, units and labels of devices are dcgm-exporter's (its etc/default-counters.csv), so that its
dashboards and rules read ours; what it does not know, whose the processes are, is ours. A MIG
instance is `gpu="0:1"`. What could not be read has no sample: never a zero.
"""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

type Device = Mapping[str, Any]
type Read = Callable[[Device], float | None]

DEVICE_LABELS = ("gpu", "UUID", "device", "modelName", "Hostname")
PROCESS_LABELS = ("gpu", "UUID", "Hostname", "pid", "program", "sandbox", "container", "pod")
SANDBOX_LABELS = ("gpu", "UUID", "Hostname", "sandbox")
PROCESSES = 64
"""Processes of one device that are shown, those that use most: an agent can start any number."""
_MIB = 1 << 20


def _field(name: str, divisor: int = 1) -> Read:
    return lambda device: None if device[name] is None else device[name] / divisor


def _free(device: Device) -> float | None:
    used, total = device["memory_used"], device["memory_total"]
    return None if None in (used, total) else (total - used) / _MIB


_GAUGES: Mapping[str, tuple[str, Read]] = {
    "DCGM_FI_DEV_SM_CLOCK": ("SM clock frequency (in MHz).", _field("sm_clock_mhz")),
    "DCGM_FI_DEV_MEM_CLOCK": ("Memory clock frequency (in MHz).", _field("memory_clock_mhz")),
    "DCGM_FI_DEV_GPU_TEMP": ("GPU temperature (in C).", _field("temperature_c")),
    "DCGM_FI_DEV_POWER_USAGE": ("Power draw (in W).", _field("power_watts")),
    "DCGM_FI_DEV_GPU_UTIL": ("GPU utilization (in %).", _field("utilisation")),
    "DCGM_FI_DEV_MEM_COPY_UTIL": ("Memory utilization (in %).", _field("memory_use")),
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": (
        "Total number of double-bit volatile ECC errors.",
        _field("ecc_uncorrected"),
    ),
    "DCGM_FI_DEV_FB_FREE": ("Framebuffer memory free (in MiB).", _free),
    "DCGM_FI_DEV_FB_USED": ("Framebuffer memory used (in MiB).", _field("memory_used", _MIB)),
}


def gpus(snapshot: Mapping[str, Any]) -> Iterator[Metric]:
    """The metrics of the monitor's newest snapshot."""
    devices, host = snapshot["devices"], socket.gethostname()
    what = "1 while the GPUs can be asked; else there are no other GPU metrics"
    yield GaugeMetricFamily("firewall_gpu_available", what, int(snapshot["status"] == "ok"))
    yield _cost(snapshot)
    for name, (what, read) in _GAUGES.items():
        yield _gauge(name, what, devices, host, read)
    yield _throttle(devices, host)
    yield from _processes(devices, host)
    yield _sandboxes(devices, host)


def _cost(snapshot: Mapping[str, Any]) -> Metric:
    """What the last reading took, so that the watcher is watched too."""
    family = GaugeMetricFamily(
        "firewall_gpu_sample_seconds",
        "What the last reading took: inside NVML, and of this process's CPU",
        labels=("of",),
    )
    for of, seconds in snapshot["cost"].items():
        family.add_metric((of,), seconds)
    return family


def _labels(device: Device, host: str) -> tuple[str, ...]:
    index = device["index"]
    return (index, device["uuid"], f"nvidia{index.partition(':')[0]}", device["name"], host)


def _gauge(name: str, what: str, devices: Sequence[Device], host: str, read: Read) -> Metric:
    family = GaugeMetricFamily(name, what, labels=DEVICE_LABELS)
    for device in devices:
        if (value := read(device)) is not None:
            family.add_metric(_labels(device, host), value)
    return family


def _throttle(devices: Sequence[Device], host: str) -> Metric:
    family = GaugeMetricFamily(
        "firewall_gpu_throttled", "1 for what holds the clocks down", labels=(*DEVICE_LABELS, "by")
    )
    for device in devices:
        for reason in device["throttle"] or ():
            family.add_metric((*_labels(device, host), reason), 1)
    return family


def _processes(devices: Sequence[Device], host: str) -> Iterator[Metric]:
    use = GaugeMetricFamily(
        "firewall_gpu_process_sm_percent", "Of the device's SMs", labels=PROCESS_LABELS
    )
    memory = GaugeMetricFamily(
        "firewall_gpu_process_memory_bytes", "Memory held", labels=PROCESS_LABELS
    )
    for device in devices:
        for each in _most(device["processes"] or ()):
            labels = _owner(device, each, host)
            if each["sm"] is not None:
                use.add_metric(labels, each["sm"])
            if each["memory_used"] is not None:
                memory.add_metric(labels, each["memory_used"])
    yield use
    yield memory


def _most(processes: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    def much(each: Mapping[str, Any]) -> tuple[int, int]:
        return each["sm"] or 0, each["memory_used"] or 0

    return sorted(processes, key=much, reverse=True)[:PROCESSES]


def _owner(device: Device, each: Mapping[str, Any], host: str) -> tuple[str, ...]:
    """Unknown is "?" here, where "" is none: a label has no null."""
    program = (each["exe"] or "?").rpartition("/")[2][:100]
    sandbox = "?" if each["sandbox"] is None else each["sandbox"]
    container = "?" if each["container"] is None else each["container"][:12]
    index, uuid = device["index"], device["uuid"]
    return (index, uuid, host, str(each["pid"]), program, sandbox, container, each["pod"])


def _sandboxes(devices: Sequence[Device], host: str) -> Metric:
    """The sum over a sandbox's processes; a process whose use is unknown leaves it unknown."""
    family = GaugeMetricFamily(
        "firewall_gpu_sandbox_sm_percent",
        "Of the device's SMs, by all processes of a sandbox; those outside of any are one",
        labels=SANDBOX_LABELS,
    )
    for device in devices:
        sums: dict[str, int | None] = {}
        for each in device["processes"] or ():
            sandbox = "?" if each["sandbox"] is None else each["sandbox"]
            before = sums.get(sandbox, 0)
            sums[sandbox] = None if None in (before, each["sm"]) else before + each["sm"]
        for sandbox, total in sums.items():
            if total is not None:
                family.add_metric((device["index"], device["uuid"], host, sandbox), total)
    return family
