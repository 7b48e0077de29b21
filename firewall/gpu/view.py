"""One reading of all GPUs as values: what the sampler produces and the detector judges.

None means that NVML or /proc did not say; `unavailable` says why. It never means zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProcessView:
    """One process with a context on one device, and who owns it.

    `started` is in seconds since the epoch. `sm` and `memory_use` are per cent of the device over
    the last sample period, `memory_used` is in bytes. `kind` is "compute", "graphics" or both with
    a comma. `sandbox` is the name of ours that it runs in, "" where it runs in none, and
    `namespace` the inode of its network namespace. `container` is the id that its cgroup names, ""
    where it names none.
    """

    pid: int
    started: float | None = None
    exe: str | None = None
    argv: tuple[str, ...] = ()
    uid: int | None = None
    container: str | None = None
    sandbox: str | None = None
    namespace: int | None = None
    kind: str = "compute"
    sm: int | None = None
    memory_use: int | None = None
    memory_used: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One GPU, or one MIG instance of it (`index` "0:1"; there NVML tells no use per process).

    `utilisation` is the per cent of the last sample period in which a kernel ran. `processes` is
    None where they could not be listed.
    """

    index: str
    uuid: str
    name: str
    mig: bool = False
    utilisation: int | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    power_watts: float | None = None
    processes: tuple[ProcessView, ...] | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GpuView:
    """All devices at one moment: `at` in seconds since the epoch, `taken` by the monotonic clock.

    `unavailable` says why there are no devices: no library, or a driver that was lost.
    """

    at: float
    taken: float
    devices: tuple[DeviceView, ...] = ()
    unavailable: str = ""
