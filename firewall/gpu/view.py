"""One reading of all GPUs as values: what the sampler produces and the detector judges.

None means that NVML or /proc did not say; `unavailable` says why. It never means zero.
"""

from collections.abc import Mapping
from dataclasses import field

from firewall.frozen import frozen


@frozen
class ProcessView:
    """One process with a context on one device, and who owns it.

    `started` is in seconds since the epoch. `sm` and `memory_use` are per cent of the device over
    the last sample period, `memory_used` is in bytes. `kind` is "compute", "graphics" or both with
    a comma. `sandbox` is the name of ours that it runs in, "" where it runs in none, and
    `namespace` the inode of its network namespace. `container` is the id that its cgroup names, ""
    where it names none; `container_kind`, `pod` and `unit` are what else it tells (cgroup.Place).
    `name` is its command name and `ancestors` the pids above it, its parent first. `ended` is one
    that NVML still tells of: nobody is to blame any more.
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
    name: str | None = None
    container_kind: str = ""
    pod: str = ""
    unit: str = ""
    ancestors: tuple[int, ...] = ()
    ended: bool = False


@frozen
class DeviceView:
    """One GPU, or one MIG instance of it (`index` "0:1"; there NVML tells no use per process).

    `utilisation` is the per cent of the last sample period in which a kernel ran, `memory_use` that
    in which memory was read or written. Memory is in bytes, clocks in MHz, the temperature in
    degrees Celsius. `throttle` names what holds the clocks down, `ecc_uncorrected` counts errors
    since the driver was loaded. `processes` is None where they could not be listed.
    """

    index: str
    uuid: str
    name: str
    mig: bool = False
    utilisation: int | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    power_watts: float | None = None
    memory_use: int | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: int | None = None
    throttle: tuple[str, ...] | None = None
    ecc_uncorrected: int | None = None
    processes: tuple[ProcessView, ...] | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)


@frozen
class GpuView:
    """All devices at one moment: `at` in seconds since the epoch, `taken` by the monotonic clock.

    `unavailable` says why there are no devices: no library, or a driver that was lost. What the
    reading cost is in seconds: `nvml_seconds` inside the library, `cpu_seconds` of this process.
    """

    at: float
    taken: float
    devices: tuple[DeviceView, ...] = ()
    unavailable: str = ""
    nvml_seconds: float = 0.0
    cpu_seconds: float = 0.0
