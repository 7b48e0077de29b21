"""Readings of GPUs as values, for what judges them."""

from dataclasses import replace
from typing import Any

from firewall.gpu.view import DeviceView, GpuView, ProcessView
from firewall.workloads import DEFAULTS, AlertName, GpuPolicy, GpuRule, Workload

TRAINER = Workload("trainer", program="*/python*", arguments="*train.py*")
JOB = ProcessView(
    pid=100,
    started=1000.0,
    exe="/usr/bin/python3",
    argv=("python3", "train.py"),
    uid=1000,
    container="",
    sandbox="",
    namespace=1,
    sm=90,
    memory_used=8 << 30,
)
MINER = replace(JOB, pid=200, started=2000.0, exe="/tmp/xmrig", argv=("xmrig",), sm=95)
NOON = 1_700_000_000.0
"""Some moment, in seconds since the epoch; the monotonic clock stands at 0 then."""


def device(*processes: ProcessView, **values: Any) -> DeviceView:
    """GPU 0, as busy as its busiest process unless it is said otherwise."""
    busy = max((each.sm or 0 for each in processes), default=0)
    known = {"utilisation": busy, "power_watts": 300.0, "memory_total": 80 << 30}
    return DeviceView("0", "GPU-0", "Test GPU", processes=processes, **(known | values))


def view(at: float, *devices: DeviceView, unavailable: str = "") -> GpuView:
    """A reading so many seconds after noon."""
    return GpuView(NOON + at, at, devices, unavailable)


def policy(*workloads: Workload, **rules: dict[str, Any]) -> GpuPolicy:
    """The defaults, with some values of some rules changed: `out_of_band={"lasting": 60}`."""
    changed = (replace(each, **rules.get(each.name.replace("-", "_"), {})) for each in DEFAULTS)
    return GpuPolicy(workloads, tuple(changed))


def rule(name: AlertName, **values: Any) -> GpuRule:
    """A rule with its defaults, but for some values."""
    return replace(next(each for each in DEFAULTS if each.name == name), **values)
