"""What the monitor asks of a GPU library, and the real one: NVML through pynvml.

Numbers are handed on as the library gives them; reading.py decides which to believe. Behaviour of
NVML and its Python binding: NVIDIA's nvml.h and pynvml.py of nvidia-ml-py.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

RETRIES = 3
"""How often a list is asked for anew when it grew between NVML's two calls for it."""


class QueryError(Exception):
    """One question that this device does not answer; the text says why."""


class DeviceLostError(QueryError):
    """The device or its driver is gone: nothing more can be asked of it."""


class UnavailableError(Exception):
    """There is no GPU library to ask; the text says why."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU or a MIG instance of one. `handle` is the library's own; None where it gave none."""

    index: str
    name: str
    uuid: str
    handle: Any
    mig: bool = False


class Backend(Protocol):
    """A GPU library. Calls come from one thread and may block; they raise QueryError."""

    def open(self) -> Sequence[Device]:
        """Begin, and list the devices; raises UnavailableError."""

    def close(self) -> None:
        """End; never raises."""

    def utilisation(self, device: Device) -> int:
        """Percent of the last sample period in which a kernel ran."""

    def memory(self, device: Device) -> tuple[int, int]:
        """Bytes used and bytes in all."""

    def power(self, device: Device) -> int:
        """Milliwatts."""

    def clock(self, device: Device) -> int:
        """The SM clock in MHz."""

    def processes(self, device: Device) -> Sequence[tuple[int, int | None]]:
        """The processes with a compute context: pid on the host, and bytes where known."""

    def process_utilisation(self, device: Device, since_us: int) -> Sequence[tuple[int, int, int]]:
        """Samples since a wall-clock time in microseconds: pid, percent of the SMs, time."""


class Nvml:
    """NVML. The module is imported when first opened, so that a run without a GPU need not."""

    def __init__(self) -> None:
        self._nvml: Any = None

    def open(self) -> Sequence[Device]:
        try:
            self._nvml = _import()
            self._nvml.nvmlInit()
        except ImportError as error:
            raise UnavailableError(
                f"the Python module of NVML cannot be imported: {error}"
            ) from error
        except self._nvml.NVMLError as error:
            raise UnavailableError(self._why_not(error)) from error
        try:
            return self._devices()
        except QueryError as error:
            self.close()
            raise UnavailableError(f"NVML lists no devices: {error}") from error

    def close(self) -> None:
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def utilisation(self, device: Device) -> int:
        return int(self._ask("nvmlDeviceGetUtilizationRates", device.handle).gpu)

    def memory(self, device: Device) -> tuple[int, int]:
        found = self._ask("nvmlDeviceGetMemoryInfo", device.handle)
        return int(found.used), int(found.total)

    def power(self, device: Device) -> int:
        return int(self._ask("nvmlDeviceGetPowerUsage", device.handle))

    def clock(self, device: Device) -> int:
        return int(self._ask("nvmlDeviceGetClockInfo", device.handle, self._nvml.NVML_CLOCK_SM))

    def processes(self, device: Device) -> Sequence[tuple[int, int | None]]:
        found = self._ask_list("nvmlDeviceGetComputeRunningProcesses", device.handle)
        return [(each.pid, each.usedGpuMemory) for each in found]

    def process_utilisation(self, device: Device, since_us: int) -> Sequence[tuple[int, int, int]]:
        found = self._ask_list("nvmlDeviceGetProcessUtilization", device.handle, since_us)
        return [(each.pid, each.smUtil, each.timeStamp) for each in found]

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
        whole = self._device(index, handle)
        try:
            current, _ = self._ask("nvmlDeviceGetMigMode", handle)
            count = self._ask("nvmlDeviceGetMaxMigDeviceCount", handle) if current else 0
        except QueryError:
            return [whole]
        instances = []
        for number in range(count):
            with suppress(QueryError):  # places that hold no instance
                part = self._ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
                instances.append(self._device(f"{index}:{number}", part, mig=True))
        return [whole, *instances]

    def _device(self, index: str, handle: Any, *, mig: bool = False) -> Device:
        return Device(
            index,
            self._text("nvmlDeviceGetName", handle),
            self._text("nvmlDeviceGetUUID", handle),
            handle,
            mig,
        )

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
            return "no NVIDIA driver: libnvidia-ml.so.1 cannot be loaded"
        return f"NVML does not start: {error}"


def _import() -> ModuleType:
    import pynvml  # 30 ms that only those who start a monitor should pay

    return pynvml
