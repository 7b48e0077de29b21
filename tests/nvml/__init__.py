"""GPUs without a GPU: a libnvidia-ml.so.1 of our own, scripted from a file, for the real pynvml.

A test writes a `Script` and may replace it while the firewall runs; the library reads it anew at
each call. `Stub.environment` makes another program use it (LD_LIBRARY_PATH), and `loaded` this one.
"""

import ctypes
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pynvml
import pytest

from firewall.gpu import backend

NOT_SUPPORTED, NOT_FOUND, INSUFFICIENT_SIZE, DRIVER_NOT_LOADED, FUNCTION_NOT_FOUND = 3, 6, 7, 9, 13
GPU_IS_LOST, VERSION_MISMATCH = 15, 18

H200: dict[str, int | str] = {
    "uuid": "GPU-stub",
    "name": "NVIDIA H200",
    "utilisation": 93,
    "memory_use": 40,
    "memory_used": 40 << 30,
    "memory_total": 139 << 30,
    "power_mw": 612_000,
    "sm_clock_mhz": 1980,
    "memory_clock_mhz": 2619,
    "temperature_c": 61,
    "throttle": 0x4,
    "ecc": 0,
}
"""What a busy GPU says. A value that a device lacks is answered with NOT_SUPPORTED."""


class Script:
    """What the library says, line by line. Every method returns the script, to be chained."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _add(self, kind: str, values: dict[str, object]) -> "Script":
        self.lines.append("\t".join([kind, *(f"{name}={value}" for name, value in values.items())]))
        return self

    def device(self, index: str = "0", **changes: int | str | None) -> "Script":
        """A busy H200 but for `changes`; None leaves a value out. "0:1" is a MIG instance of 0."""
        values = {"index": index, **H200, **changes}
        return self._add("device", {k: v for k, v in values.items() if v is not None})

    def process(
        self, pid: int, device: str = "0", kind: str = "compute", memory_used: int | None = 40
    ) -> "Script":
        """A process with a context; `memory_used` None is NVML's "not available"."""
        memory = {} if memory_used is None else {"memory_used": memory_used}
        return self._add("process", {"device": device, "pid": pid, "kind": kind, **memory})

    def sample(
        self, pid: int, sm: int, mem: int = 0, device: str = "0", age: float = 0.0
    ) -> "Script":
        """What a process used, `age` seconds ago. Garbage is handed on too."""
        return self._add("sample", {"device": device, "pid": pid, "sm": sm, "mem": mem, "age": age})

    def error(
        self, function: str, code: int, device: str | None = None, times: int | None = None
    ) -> "Script":
        """`function` ("*": every one) answers with `code`, at first so many `times` where told.

        Code 0 answers success and nothing else.
        """
        return self._add("error", _given(function=function, code=code, device=device, times=times))

    def latency(self, function: str, seconds: float, device: str | None = None) -> "Script":
        """`function` takes so long."""
        return self._add("latency", _given(function=function, seconds=seconds, device=device))


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Stub:
    """A folder with the library and its script."""

    folder: Path

    @property
    def script(self) -> Path:
        return self.folder / "script"

    def write(self, script: Script) -> None:
        """Say this from now on; no call sees half of it."""
        fresh = self.folder / f"script.{time.monotonic_ns()}"
        fresh.write_text("".join(f"{line}\n" for line in script.lines))
        fresh.replace(self.script)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to find this library."""
        return {"LD_LIBRARY_PATH": str(self.folder), "NVML_SCRIPT": str(self.script)}


def build(folder: Path) -> Stub:
    """Compile the library into `folder`; skips the test where there is no compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed: the stub of NVML cannot be built")
    source, library = Path(__file__).with_name("stub.c"), folder / "libnvidia-ml.so.1"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    return Stub(folder)


@contextmanager
def loaded(stub: Stub) -> Iterator[None]:
    """Make this process's pynvml use the library."""
    patch = pytest.MonkeyPatch()
    patch.setenv("NVML_SCRIPT", str(stub.script))
    library = str(stub.folder / "libnvidia-ml.so.1")
    patch.setattr(backend, "LIBRARY", library)
    patch.setattr(pynvml, "nvmlLib", ctypes.CDLL(library))
    patch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    try:
        yield
    finally:
        patch.undo()
