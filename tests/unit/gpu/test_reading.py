"""NVML is believed only where it can be right, and what it does not say is never a zero."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firewall.gpu import processes, reading
from firewall.gpu.backend import Device, DeviceLostError, QueryError, UnavailableError, Use
from firewall.gpu.reading import FOREIGN_PIDS, WINDOW_US, read_devices
from firewall.gpu.view import DeviceView, GpuView, ProcessView

NOW_US = 1_790_000_000_000_000
GPU = Device("0", "NVIDIA H200", "GPU-1", object())


class Answers:
    """A backend that answers from its fields; an exception there is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            "utilisation": (93, 40),
            "memory": (40 << 30, 139 << 30),
            "power": 612_000,
            "clocks": (1980, 2619),
            "temperature": 61,
            "throttle": ["software power cap"],
            "ecc": 0,
            "processes": {4711: ("compute", 39 << 30)},
            "process_utilisation": [Use(4711, 93, 30, NOW_US)],
            **answers,
        }
        self.since = 0

    def _answer(self, name: str) -> Any:
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def open(self) -> None:
        pass

    def devices(self) -> Sequence[Device]:
        return [GPU]

    def close(self) -> None:
        pass

    def utilisation(self, device: Device) -> tuple[int, int]:
        kernels, copies = self._answer("utilisation")
        return kernels, copies

    def memory(self, device: Device) -> tuple[int, int]:
        used, total = self._answer("memory")
        return used, total

    def power(self, device: Device) -> int:
        return int(self._answer("power"))

    def clocks(self, device: Device) -> tuple[int, int]:
        sm, memory = self._answer("clocks")
        return sm, memory

    def temperature(self, device: Device) -> int:
        return int(self._answer("temperature"))

    def throttle(self, device: Device) -> Sequence[str]:
        return list(self._answer("throttle"))

    def ecc(self, device: Device) -> int:
        return int(self._answer("ecc"))

    def processes(self, device: Device) -> Mapping[int, tuple[str, int | None]]:
        return dict(self._answer("processes"))

    def process_utilisation(self, device: Device, since_us: int) -> Sequence[Use]:
        self.since = since_us
        return list(self._answer("process_utilisation"))


OWNER = ProcessView(
    4711,
    started=100.0,
    exe="/usr/bin/python3",
    argv=("python3", "train.py"),
    uid=1000,
    container="",
    namespace=77,
    name="python3",
    unit="train.service",
    container_kind="systemd",
    ancestors=(40, 1),
)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pid belongs to one known process."""
    monkeypatch.setattr(reading, "sees_host_pids", lambda: True)
    monkeypatch.setattr(reading, "owner", lambda pid: replace(OWNER, pid=pid))


def look(backend: Answers, devices: Sequence[Device] = (GPU,)) -> GpuView:
    return read_devices(backend, devices, {77: "rl"}, NOW_US / 1e6, 5.0)


def read(**answers: Any) -> DeviceView:
    (device,) = look(Answers(**answers)).devices
    return device


def process_of(device: DeviceView) -> ProcessView:
    (process,) = device.processes or ()
    return process


def test_a_whole_reading() -> None:
    view = look(Answers())
    assert (view.at, view.taken, view.unavailable) == (NOW_US / 1e6, 5.0, "")
    assert view.cpu_seconds > 0
    assert view.nvml_seconds > 0
    assert view.devices == (
        DeviceView(
            "0",
            "GPU-1",
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
            processes=(replace(OWNER, sandbox="rl", sm=93, memory_use=30, memory_used=39 << 30),),
        ),
    )


FIELDS = {"memory": "memory_used", "clocks": "sm_clock_mhz"}


@pytest.mark.parametrize(
    ("question", "garbage", "field", "reason"),
    [
        ("utilisation", (2147483632, 0), "utilisation", "NVML said 2147483632 %"),
        ("utilisation", (101, 0), "utilisation", "NVML said 101 %"),
        ("utilisation", (-1, 0), "utilisation", "NVML said -1 %"),
        ("utilisation", (1, 101), "utilisation", "NVML said 101 % of memory use"),
        ("temperature", 4711, "temperature_c", "NVML said 4711 degrees"),
        ("power", 1 << 40, "power_watts", "NVML said 1099511627776 mW"),
        ("clocks", (4294967295, 1), "clocks", "NVML said 4294967295 MHz"),
        ("memory", (5, 4), "memory", "NVML said 5 bytes used of 4"),
        ("memory", (0, 1 << 63), "memory", "NVML said 9223372036854775808 bytes in all"),
    ],
)
def test_garbage_is_not_believed(question: str, garbage: Any, field: str, reason: str) -> None:
    device = read(**{question: garbage})
    assert device.unavailable == {field: reason}
    assert getattr(device, FIELDS.get(field, field)) is None


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ("utilisation", "utilisation"),
        ("memory", "memory"),
        ("power", "power_watts"),
        ("clocks", "clocks"),
        ("temperature", "temperature_c"),
        ("throttle", "throttle"),
        ("ecc", "ecc_uncorrected"),
        ("processes", "processes"),
        ("process_utilisation", "process_utilisation"),
    ],
)
def test_one_question_unanswered_leaves_the_others(question: str, field: str) -> None:
    device = read(**{question: QueryError("Not Supported")})
    assert device.unavailable == {field: "Not Supported"}
    assert [device.utilisation, device.sm_clock_mhz].count(None) == (
        question in ("utilisation", "clocks")
    )


class TestProcesses:
    def test_without_a_sample_it_was_idle(self) -> None:
        process = process_of(read(process_utilisation=[]))
        assert (process.sm, process.memory_use) == (0, 0)

    def test_where_use_is_not_told_it_is_unknown(self) -> None:
        process = process_of(read(process_utilisation=QueryError("Not Supported")))
        assert (process.sm, process.memory_use, process.memory_used) == (None, None, 39 << 30)

    def test_the_newest_sample_counts(self) -> None:
        samples = [Use(4711, 9, 1, NOW_US), Use(4711, 80, 2, NOW_US - 5)]
        assert process_of(read(process_utilisation=samples)).sm == 9

    def test_one_without_a_context_is_listed(self) -> None:
        process = process_of(read(processes={}, process_utilisation=[Use(5, 40, 1, NOW_US)]))
        assert (process.pid, process.sm, process.memory_used) == (5, 40, None)

    @pytest.mark.parametrize("percent", [2147483632, 37100, 101, -1])
    def test_garbage_use_is_unknown_and_named(self, percent: int) -> None:
        device = read(process_utilisation=[Use(4711, percent, 0, NOW_US)])
        assert process_of(device).sm is None
        assert device.unavailable == {"sm of 4711": f"NVML said {percent} %"}

    def test_garbage_memory_is_unknown_and_named(self) -> None:
        device = read(processes={4711: ("graphics", 1 << 60)})
        assert (process_of(device).memory_used, process_of(device).kind) == (None, "graphics")
        assert device.unavailable == {"memory of 4711": f"NVML said {1 << 60} bytes"}

    def test_a_sample_of_the_pid_s_former_process_is_not_believed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        late = replace(OWNER, started=NOW_US / 1e6 + 10)
        monkeypatch.setattr(reading, "owner", lambda pid: late)
        device = read()
        assert process_of(device).sm is None
        assert "its pid was another's" in device.unavailable["sm of 4711"]

    def test_a_process_that_is_gone_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "owner", lambda pid: None)
        with subprocess.Popen(["true"]) as child:
            gone, hidden = child.pid, os.getppid()
        monkeypatch.setattr(processes, "PROC", Path("/nowhere"))
        for pid, why in ((gone, reading.ENDED), (hidden, reading.HIDDEN)):
            device = read(
                processes={pid: ("compute", 1)}, process_utilisation=[Use(pid, 93, 0, NOW_US)]
            )
            assert (process_of(device).exe, process_of(device).sm) == (None, 93)
            assert process_of(device).ended is (why == reading.ENDED)
            assert device.unavailable == {f"owner of {pid}": why}

    def test_unknown_memory_stays_unknown(self) -> None:
        assert process_of(read(processes={4711: ("compute", None)})).memory_used is None

    def test_use_is_asked_for_a_window_not_since_the_last_sample(self) -> None:
        backend = Answers()
        look(backend)
        assert abs(backend.since - (NOW_US - WINDOW_US)) <= 1

    @pytest.mark.parametrize(("namespace", "sandbox"), [(77, "rl"), (78, ""), (None, None)])
    def test_its_sandbox_is_known_by_the_network_namespace(
        self, namespace: int | None, sandbox: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = replace(OWNER, namespace=namespace)
        monkeypatch.setattr(reading, "owner", lambda pid: there)
        assert process_of(read()).sandbox == sandbox

    def test_pids_of_another_namespace_are_not_looked_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading, "sees_host_pids", lambda: False)
        device = read()
        process = process_of(device)
        assert (process.exe, process.namespace, process.started) == (None, None, None)
        assert device.unavailable == {"owners": FOREIGN_PIDS}

    def test_a_gpu_cut_into_instances_leaves_them_to_those(self) -> None:
        whole = replace(GPU, partitioned=True)
        (device,) = look(Answers(), [whole]).devices
        assert device.processes is None
        assert device.unavailable == {"processes": "this GPU's MIG instances tell them"}


class TestLost:
    def test_a_lost_device_is_asked_nothing_more(self) -> None:
        lost = Answers(memory=DeviceLostError("GPU is lost"))
        both = _FirstLost()
        one, two = look(both, [GPU, Device("1", "b", "GPU-2", object())]).devices
        assert one.unavailable == {"device": "GPU is lost"}
        assert (one.utilisation, one.power_watts, one.processes) == (None, None, None)
        assert two.utilisation == 93
        with pytest.raises(UnavailableError, match="every device is lost: GPU is lost"):
            look(lost)

    def test_no_devices_are_none_lost(self) -> None:
        assert look(Answers(), []).devices == ()


class _FirstLost(Answers):
    def memory(self, device: Device) -> tuple[int, int]:
        if device.index == "0":
            raise DeviceLostError("GPU is lost")
        return super().memory(device)
