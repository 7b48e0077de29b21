"""What the monitor asks of a GPU library, and the real one: NVML through pynvml.

Numbers are handed on as the library gives them; reading.py decides which to believe. Behaviour of
NVML and its Python binding: NVIDIA's nvml.h and pynvml.py of nvidia-ml-py.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from ctypes import CDLL
from dataclasses import replace
from types import ModuleType
from typing import Any, Protocol

from firewall.frozen import frozen

THROTTLE = {
    0x1: "gpu idle",
    0x2: "application clocks",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks",
}
"""The bits of nvmlClocksEventReason* (nvml.h) in words."""

LIBRARY = "libnvidia-ml.so.1"

RETRIES = 3
"""How often a list is asked for anew when it grew between NVML's two calls for it."""


class QueryError(Exception):
    """One question that this device does not answer; the text says why."""


class DeviceLostError(QueryError):
    """The device or its driver is gone: nothing more can be asked of it."""


class UnavailableError(Exception):
    """There is no GPU library to ask; the text says why."""


@frozen
class Device:
    """A GPU or a MIG instance of one. `handle` is the library's own; None where it gave none.

    `partitioned` is a GPU that is cut into MIG instances, which follow it: they tell its work.
    """

    index: str
    name: str
    uuid: str
    handle: Any
    mig: bool = False
    partitioned: bool = False


@frozen
class Use:
    """What one process did with a device up to `time` (microseconds since the epoch), in percent
    of its SMs and of the time in which memory was read or written."""

    pid: int
    sm: int
    memory: int
    time: int


class Backend(Protocol):
    """A GPU library. Calls come from one thread and may block; they raise QueryError."""

    def open(self) -> None:
        """Begin; raises UnavailableError."""

    def devices(self) -> Sequence[Device]:
        """List the devices, with what rarely changes of them; raises UnavailableError."""

    def close(self) -> None:
        """End; never raises."""

    def utilisation(self, device: Device) -> tuple[int, int]:
        """Percent of the last sample period in which a kernel ran, and memory was used."""

    def memory(self, device: Device) -> tuple[int, int]:
        """Bytes used and bytes in all."""

    def power(self, device: Device) -> int:
        """Milliwatts."""

    def clocks(self, device: Device) -> tuple[int, int]:
        """The clocks of the SMs and of the memory in MHz."""

    def temperature(self, device: Device) -> int:
        """Degrees Celsius."""

    def throttle(self, device: Device) -> Sequence[str]:
        """The names of what holds the clocks down now."""

    def ecc(self, device: Device) -> int:
        """Memory errors since the driver was loaded that could not be corrected."""

    def processes(self, device: Device) -> Mapping[int, tuple[str, int | None]]:
        """The processes with a context, by pid on the host: its kind, and bytes where known."""

    def process_utilisation(self, device: Device, since_us: int) -> Sequence[Use]:
        """Samples since a time in microseconds since the epoch."""


class Nvml:
    """NVML. The module is imported when first opened, so that a run without a GPU need not."""

    def __init__(self) -> None:
        self._nvml: Any = None

    def open(self) -> None:
        # Looked for first: the module costs a machine without a GPU ten times as much.
        try:
            CDLL(LIBRARY)
        except OSError as error:
            raise UnavailableError(f"no NVIDIA driver: {LIBRARY} cannot be loaded") from error
        try:
            self._nvml = _import()
            self._nvml.nvmlInit()
        except ImportError as error:
            raise UnavailableError(
                f"the Python module of NVML cannot be imported: {error}"
            ) from error
        except self._nvml.NVMLError as error:
            raise UnavailableError(self._why_not(error)) from error

    def devices(self) -> Sequence[Device]:
        try:
            return self._devices()
        except QueryError as error:
            raise UnavailableError(f"NVML lists no devices: {error}") from error

    def close(self) -> None:
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def utilisation(self, device: Device) -> tuple[int, int]:
        found = self._ask("nvmlDeviceGetUtilizationRates", device.handle)
        return int(found.gpu), int(found.memory)

    def memory(self, device: Device) -> tuple[int, int]:
        # Version 2 counts as used what processes use, as nvidia-smi and DCGM do; drivers before
        # 510 have version 1 alone, where it includes what the driver keeps for itself.
        function, version = "nvmlDeviceGetMemoryInfo", self._nvml.nvmlMemory_v2
        try:
            found = self._ask(function, device.handle, version)
        except DeviceLostError:
            raise
        except QueryError:
            found = self._ask(function, device.handle)
        return int(found.used), int(found.total)

    def power(self, device: Device) -> int:
        return int(self._ask("nvmlDeviceGetPowerUsage", device.handle))

    def clocks(self, device: Device) -> tuple[int, int]:
        kinds = (self._nvml.NVML_CLOCK_SM, self._nvml.NVML_CLOCK_MEM)
        sm, memory = (self._ask("nvmlDeviceGetClockInfo", device.handle, kind) for kind in kinds)
        return int(sm), int(memory)

    def temperature(self, device: Device) -> int:
        sensor = self._nvml.NVML_TEMPERATURE_GPU
        return int(self._ask("nvmlDeviceGetTemperature", device.handle, sensor))

    def throttle(self, device: Device) -> Sequence[str]:
        bits = int(self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", device.handle))
        return [name for bit, name in THROTTLE.items() if bits & bit]

    def ecc(self, device: Device) -> int:
        kinds = (self._nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, self._nvml.NVML_VOLATILE_ECC)
        return int(self._ask("nvmlDeviceGetTotalEccErrors", device.handle, *kinds))

    def processes(self, device: Device) -> Mapping[int, tuple[str, int | None]]:
        compute = self._ask_list("nvmlDeviceGetComputeRunningProcesses", device.handle)
        found = {each.pid: ("compute", each.usedGpuMemory) for each in compute}
        for each in self._graphics(device):
            kind = "compute,graphics" if each.pid in found else "graphics"
            found[each.pid] = (kind, each.usedGpuMemory)
        return found

    def process_utilisation(self, device: Device, since_us: int) -> Sequence[Use]:
        found = self._ask_list("nvmlDeviceGetProcessUtilization", device.handle, since_us)
        return [Use(each.pid, each.smUtil, each.memUtil, each.timeStamp) for each in found]

    def _graphics(self, device: Device) -> Sequence[Any]:
        """Programs that draw; a device that can draw nothing does not know the question."""
        try:
            return self._ask_list("nvmlDeviceGetGraphicsRunningProcesses", device.handle)
        except DeviceLostError:
            raise
        except QueryError:
            return []

    def _devices(self) -> list[Device]:
        found: list[Device] = []
        for index in range(self._ask("nvmlDeviceGetCount")):
            try:
                handle = self._ask("nvmlDeviceGetHandleByIndex", index)
            except QueryError as error:
                found.append(Device(str(index), f"unknown: {error}", "", None))
            else:
                found.extend(self._with_instances(str(index), handle))
        return found

    def _with_instances(self, index: str, handle: Any) -> list[Device]:
        """A GPU, followed by its MIG instances where it is cut into such."""
        instances = []
        for number in range(self._places(handle)):
            with suppress(QueryError):  # places that hold no instance
                part = self._ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
                instances.append(self._device(f"{index}:{number}", part, mig=True))
        return [replace(self._device(index, handle), partitioned=bool(instances)), *instances]

    def _places(self, handle: Any) -> int:
        """How many MIG instances a GPU can hold; none where it is not cut into such."""
        try:
            current, _ = self._ask("nvmlDeviceGetMigMode", handle)
            return int(self._ask("nvmlDeviceGetMaxMigDeviceCount", handle)) if current else 0
        except QueryError:
            return 0

    def _device(self, index: str, handle: Any, *, mig: bool = False) -> Device:
        name, uuid = (self._text(f"nvmlDeviceGet{each}", handle) for each in ("Name", "UUID"))
        return Device(index, name, uuid, handle, mig)

    def _text(self, function: str, handle: Any) -> str:
        try:
            found = self._ask(function, handle)
        except QueryError as error:
            return f"unknown: {error}"
        return found.decode("utf-8", "backslashreplace") if isinstance(found, bytes) else str(found)

    def _ask_list(self, function: str, *arguments: Any) -> Sequence[Any]:
        """A list that NVML hands over in two calls: for its length, then for its items."""
        nvml = self._nvml
        for _ in range(RETRIES):
            try:
                return list(self._call(function, *arguments))
            except nvml.NVMLError as error:
                # NOT_FOUND: nothing ran in the time asked for. SUCCESS as an error is the
                # binding's way to say that the length was zero.
                if error.value in (nvml.NVML_SUCCESS, nvml.NVML_ERROR_NOT_FOUND):
                    return []
                if error.value != nvml.NVML_ERROR_INSUFFICIENT_SIZE:
                    raise self._translate(error) from error
        raise QueryError("the list grew faster than NVML could hand it over")

    def _ask(self, function: str, *arguments: Any) -> Any:
        try:
            return self._call(function, *arguments)
        except self._nvml.NVMLError as error:
            raise self._translate(error) from error

    def _call(self, function: str, *arguments: Any) -> Any:
        if None in arguments:
            raise DeviceLostError("NVML gave no handle for it")
        try:
            return getattr(self._nvml, function)(*arguments)
        except self._nvml.NVMLLibraryMismatchError as error:
            raise QueryError(str(error)) from error

    def _translate(self, error: Any) -> QueryError:
        nvml = self._nvml
        lost = (
            nvml.NVML_ERROR_GPU_IS_LOST,
            nvml.NVML_ERROR_RESET_REQUIRED,
            nvml.NVML_ERROR_DRIVER_NOT_LOADED,
            nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
            nvml.NVML_ERROR_UNINITIALIZED,
        )
        return DeviceLostError(str(error)) if error.value in lost else QueryError(str(error))

    def _why_not(self, error: Any) -> str:
        if error.value == self._nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            return f"no NVIDIA driver: {LIBRARY} cannot be loaded"
        if error.value == self._nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
            return f"the driver was replaced since this process loaded its library: {error}"
        return f"NVML does not start: {error}"


def _import() -> ModuleType:
    import pynvml  # 30 ms that only those who start a monitor should pay

    return pynvml
