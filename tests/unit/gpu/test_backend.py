"""The real pynvml on a library of our own that behaves, and misbehaves, as NVML does."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firewall.gpu.backend import Nvml, UnavailableError
from firewall.gpu.reading import read_devices
from firewall.gpu.view import DeviceView, GpuView
from tests.nvml import (
    DRIVER_NOT_LOADED,
    FUNCTION_NOT_FOUND,
    GPU_IS_LOST,
    INSUFFICIENT_SIZE,
    NOT_SUPPORTED,
    VERSION_MISMATCH,
    Script,
    Stub,
    build,
    loaded,
)
from tests.waiting import PATIENCE

ME = os.getpid()
UTILISATION = "nvmlDeviceGetProcessUtilization"

type Look = Callable[[Script], GpuView]


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stub]:
    made = build(tmp_path_factory.mktemp("nvml"))
    with loaded(made):
        yield made


@pytest.fixture
def look(stub: Stub) -> Look:
    """One reading of what a script says."""

    def reading(script: Script) -> GpuView:
        stub.write(script)
        nvml = Nvml()
        nvml.open()
        try:
            return read_devices(nvml, nvml.devices(), {}, time.time(), time.monotonic())
        finally:
            nvml.close()

    return reading


def busy() -> Script:
    return Script().device().process(ME, memory_used=7).sample(ME, 93, 30)


def first(view: GpuView) -> DeviceView:
    return view.devices[0]


def sm_of(view: GpuView) -> list[int | None]:
    return [each.sm for each in first(view).processes or ()]


def test_every_field_comes_through(look: Look) -> None:
    found = first(look(busy()))
    (process,) = found.processes or ()
    assert (process.pid, process.kind, process.memory_used) == (ME, "compute", 7)
    assert (process.sm, process.memory_use) == (93, 30)
    assert found == DeviceView(
        "0",
        "GPU-stub",
        "NVIDIA H200",
        utilisation=93,
        memory_used=40 << 30,
        memory_total=139 << 30,
        power_watts=612.0,
        memory_use=40,
        sm_clock_mhz=1980,
        memory_clock_mhz=2619,
        temperature_c=61,
        throttle=("software power cap",),
        ecc_uncorrected=0,
        processes=(process,),
    )


def test_no_samples_mean_idle(look: Look) -> None:
    view = look(Script().device().process(ME))
    assert (sm_of(view), first(view).unavailable) == ([0], {})


def test_zero_samples_with_success_mean_idle_too(look: Look) -> None:
    view = look(busy().error(UTILISATION, 0))
    assert (sm_of(view), first(view).unavailable) == ([0], {})


def test_a_device_without_processes(look: Look) -> None:
    found = first(look(Script().device()))
    assert (found.processes, found.unavailable) == ((), {})


def test_a_list_that_grew_is_asked_for_again(look: Look) -> None:
    assert sm_of(look(busy().error(UTILISATION, INSUFFICIENT_SIZE, times=3))) == [93]


def test_a_list_that_always_grows_is_unavailable(look: Look) -> None:
    view = look(busy().error(UTILISATION, INSUFFICIENT_SIZE))
    assert "grew faster" in first(view).unavailable["process_utilisation"]
    assert sm_of(view) == [None]


def test_garbage_is_not_believed(look: Look) -> None:
    view = look(Script().device().process(ME).sample(ME, 2147483632))
    assert first(view).unavailable == {f"sm of {ME}": "NVML said 2147483632 %"}
    assert sm_of(view) == [None]


def test_programs_that_draw_are_told_by_their_kind(look: Look) -> None:
    both = Script().device().process(ME).process(ME, kind="graphics")
    (process,) = first(look(both)).processes or ()
    assert process.kind == "compute,graphics"


def test_a_device_that_draws_nothing_need_not_know_the_question(look: Look) -> None:
    view = look(busy().error("nvmlDeviceGetGraphicsRunningProcesses_v3", NOT_SUPPORTED))
    assert (sm_of(view), first(view).unavailable) == ([93], {})


def test_memory_that_is_not_available_is_unknown(look: Look) -> None:
    (process,) = first(look(Script().device().process(ME, memory_used=None))).processes or ()
    assert process.memory_used is None


def test_an_old_driver_tells_memory_its_own_way(look: Look) -> None:
    view = look(busy().error("nvmlDeviceGetMemoryInfo_v2", FUNCTION_NOT_FOUND))
    assert (first(view).memory_used, first(view).unavailable) == (40 << 30, {})


def test_what_a_device_does_not_support_is_named(look: Look) -> None:
    lacking = Script().device(ecc=None, throttle=None, temperature_c=None, power_mw=None)
    found = first(look(lacking))
    assert set(found.unavailable) == {"ecc_uncorrected", "throttle", "temperature_c", "power_watts"}
    assert set(found.unavailable.values()) == {"Not Supported"}


def test_a_library_without_a_function(look: Look) -> None:
    found = first(look(busy().error("nvmlDeviceGetComputeRunningProcesses_v3", FUNCTION_NOT_FOUND)))
    assert found.processes is None
    assert "does not match the NVML lib version" in found.unavailable["processes"]
    assert found.utilisation == 93


def test_mig_instances_stand_beside_their_gpu(look: Look) -> None:
    script = Script().device(utilisation=None)
    script.device("0:0", uuid="MIG-stub", name="NVIDIA H200 MIG 1g.18gb", utilisation=None)
    whole, part = look(script.process(ME, "0:0", memory_used=9)).devices
    assert (whole.index, whole.mig, part.index, part.mig) == ("0", False, "0:0", True)
    assert whole.processes is None
    assert whole.unavailable["processes"] == "this GPU's MIG instances tell them"
    assert (part.uuid, part.name) == ("MIG-stub", "NVIDIA H200 MIG 1g.18gb")
    assert part.utilisation is None
    assert {"utilisation", "process_utilisation"} <= set(part.unavailable)
    (process,) = part.processes or ()
    assert (process.memory_used, process.sm) == (9, None)


def test_one_lost_gpu_leaves_the_other(look: Look) -> None:
    lost, other = look(Script().device().device("1").error("*", GPU_IS_LOST, device="0")).devices
    assert lost.unavailable == {"device": "GPU is lost"}
    assert (lost.utilisation, lost.processes, other.utilisation) == (None, None, 93)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (GPU_IS_LOST, "the driver or every device is lost: GPU is lost"),
        (DRIVER_NOT_LOADED, "the driver or every device is lost: Driver Not Loaded"),
    ],
)
def test_when_all_are_lost_nothing_is_known(look: Look, code: int, reason: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        look(Script().device().error("nvmlDeviceGetMemoryInfo_v2", code))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (DRIVER_NOT_LOADED, "NVML does not start: "),
        (VERSION_MISMATCH, "the driver was replaced since this process loaded its library"),
    ],
)
def test_a_driver_that_does_not_answer(look: Look, code: int, reason: str) -> None:
    with pytest.raises(UnavailableError, match=reason):
        look(Script().error("nvmlInitWithFlags", code))


def test_a_list_of_devices_that_fails(look: Look) -> None:
    with pytest.raises(UnavailableError, match="NVML lists no devices: Unknown Error"):
        look(Script().device().error("nvmlDeviceGetCount_v2", 999))


def test_the_time_inside_nvml_is_told(look: Look) -> None:
    view = look(busy().latency("nvmlDeviceGetPowerUsage", 0.03))
    assert view.nvml_seconds >= 0.03
    assert view.cpu_seconds < view.nvml_seconds


ASK = """
import json, sys
from firewall.gpu.backend import Nvml, UnavailableError
nvml = Nvml()
try:
    nvml.open()
    print(json.dumps([each.name for each in nvml.devices()]))
except UnavailableError as error:
    assert "pynvml" not in sys.modules, "it is slow to load, and was for nothing"
    print(json.dumps(str(error)))
"""


def ask(environment: dict[str, str]) -> Any:
    """What another program's NVML says."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK],
        env=env, check=True, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_another_program_finds_the_library_by_its_path(stub: Stub) -> None:
    stub.write(Script().device())
    assert ask(stub.environment) == ["NVIDIA H200"]


def test_no_library(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    expected = "no NVIDIA driver: libnvidia-ml.so.1 cannot be loaded"
    assert ask({"LD_LIBRARY_PATH": str(tmp_path)}) == expected
