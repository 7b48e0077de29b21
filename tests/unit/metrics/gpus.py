"""A snapshot of two GPUs, as the monitor makes it."""

from typing import Any

from firewall.gpu.snapshot import devices
from firewall.gpu.view import DeviceView, GpuView, ProcessView

TRAINER = ProcessView(7, exe="/usr/bin/python3", sandbox="rl", container="", sm=60, memory_used=5)
HELPER = ProcessView(8, exe="/usr/bin/python3", sandbox="rl", container="", sm=3)
OTHER = ProcessView(
    9, exe="/opt/x", sandbox="", container="c0ffee" * 10, pod="8dbc2f29", sm=30, memory_used=6
)
UNKNOWN = ProcessView(10, sm=None)
H200 = DeviceView(
    "0",
    "GPU-1",
    "NVIDIA H200",
    utilisation=93,
    memory_used=100 << 20,
    memory_total=200 << 20,
    memory_use=40,
    sm_clock_mhz=1980,
    memory_clock_mhz=2619,
    temperature_c=61,
    throttle=("software power cap",),
    ecc_uncorrected=2,
    processes=(TRAINER, HELPER, OTHER, UNKNOWN),
)
SILENT = DeviceView("1", "GPU-2", "NVIDIA H200", power_watts=70.0)


def snapshot(*views: DeviceView) -> dict[str, Any]:
    """What `GpuMonitor.latest` says of these devices, H200 and SILENT where there are none."""
    view = GpuView(1_790_000_000.0, 5.0, views or (H200, SILENT))
    cost = {"nvml": 0.002, "cpu": 0.001}
    return {"status": "ok", "reason": None, "cost": cost, "devices": devices(view)}


LOST: dict[str, Any] = {"status": "unavailable", "reason": "lost", "cost": {}, "devices": []}
