"""NVML is believed only where it can be right, and what it does not say is never a zero."""

from collections.abc import Sequence
from typing import Any

import pytest

from firewall.actor import Actor, Process
from firewall.gpu import reading
from firewall.gpu.backend import Device, DeviceLostError, QueryError, UnavailableError
from firewall.gpu.processes import Owner
from firewall.gpu.reading import WINDOW_US, attribute, busy, read_devices

NOW_US = 1_790_000_000_000_000
GPU = Device("0", "NVIDIA H200", "GPU-1", object())


class Answers:
    """A backend that answers from its fields; an exception there is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            "utilisation": 93,
            "memory": (40 << 30, 139 << 30),
            "power": 612_000,
            "clock": 1980,
            "processes": [(4711, 39 << 30)],
            "process_utilisation": [(4711, 93, NOW_US)],
            **answers,
        }
        self.since = 0

    def _answer(self, name: str) -> Any:
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def open(self) -> Sequence[Device]:
        return [GPU]

    def close(self) -> None:
        pass

    def utilisation(self, device: Device) -> int:
        return int(self._answer("utilisation"))

    def memory(self, device: Device) -> tuple[int, int]:
        used, total = self._answer("memory")
        return used, total

    def power(self, device: Device) -> int:
        return int(self._answer("power"))

    def clock(self, device: Device) -> int:
        return int(self._answer("clock"))

    def processes(self, device: Device) -> Sequence[tuple[int, int | None]]:
        return list(self._answer("processes"))

    def process_utilisation(self, device: Device, since_us: int) -> Sequence[tuple[int, int, int]]:
        self.since = since_us
        return list(self._answer("process_utilisation"))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pid belongs to one known process."""
    monkeypatch.setattr(reading, "sees_host_pids", lambda: True)
    monkeypatch.setattr(
        reading, "owner", lambda pid: Owner(100.0, "/usr/bin/python3", "python3", 77)
    )


def read(**answers: Any) -> dict[str, Any]:
    (device,) = read_devices(Answers(**answers), [GPU], NOW_US)
    return device


def test_a_whole_reading() -> None:
    assert read() == {
        "index": "0",
        "name": "NVIDIA H200",
        "uuid": "GPU-1",
        "mig": False,
        "utilisation": 93,
        "memory_used": 40 << 30,
        "memory_total": 139 << 30,
        "power_watts": 612.0,
        "sm_clock_mhz": 1980,
        "processes": [
            {
                "pid": 4711,
                "memory_used": 39 << 30,
                "sm": 93,
                "started": 100.0,
                "exe": "/usr/bin/python3",
                "name": "python3",
                "namespace": 77,
            }
        ],
        "unavailable": {},
    }


@pytest.mark.parametrize(
    ("question", "garbage", "field", "reason"),
    [
        ("utilisation", 2147483632, "utilisation", "NVML said 2147483632 %"),
        ("utilisation", 101, "utilisation", "NVML said 101 %"),
        ("utilisation", -1, "utilisation", "NVML said -1 %"),
        ("power", 1 << 40, "power_watts", "NVML said 1099511627776 mW"),
        ("clock", 4294967295, "sm_clock_mhz", "NVML said 4294967295 MHz"),
        ("memory", (5, 4), "memory", "NVML said 5 bytes used of 4"),
        ("memory", (0, 1 << 63), "memory", "NVML said 9223372036854775808 bytes in all"),
    ],
)
def test_garbage_is_not_believed(question: str, garbage: Any, field: str, reason: str) -> None:
    device = read(**{question: garbage})
    assert device["unavailable"] == {field: reason}
    assert device[{"memory": "memory_used"}.get(field, field)] is None


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ("utilisation", "utilisation"),
        ("memory", "memory"),
        ("power", "power_watts"),
        ("clock", "sm_clock_mhz"),
        ("processes", "processes"),
        ("process_utilisation", "process_utilisation"),
    ],
)
def test_one_question_unanswered_leaves_the_others(question: str, field: str) -> None:
    device = read(**{question: QueryError("Not Supported")})
    assert device["unavailable"] == {field: "Not Supported"}
    assert [device["utilisation"], device["sm_clock_mhz"]].count(None) == (
        question in ("utilisation", "clock")
    )


class TestProcesses:
    def test_without_a_sample_it_was_idle(self) -> None:
        assert read(process_utilisation=[])["processes"][0]["sm"] == 0

    def test_where_use_is_not_told_it_is_unknown(self) -> None:
        device = read(process_utilisation=QueryError("Not Supported"))
        assert device["processes"][0]["sm"] is None
        assert device["processes"][0]["memory_used"] == 39 << 30

    def test_the_newest_sample_counts(self) -> None:
        samples = [(4711, 9, NOW_US), (4711, 80, NOW_US - 5)]
        assert read(process_utilisation=samples)["processes"][0]["sm"] == 9

    def test_one_without_a_compute_context_is_listed(self) -> None:
        device = read(processes=[], process_utilisation=[(5, 40, NOW_US)])
        (process,) = device["processes"]
        assert (process["pid"], process["sm"], process["memory_used"]) == (5, 40, None)

    @pytest.mark.parametrize("percent", [2147483632, 37100, 101, -1])
    def test_garbage_use_is_unknown_and_named(self, percent: int) -> None:
        device = read(process_utilisation=[(4711, percent, NOW_US)])
        assert device["processes"][0]["sm"] is None
        assert device["unavailable"] == {"sm of 4711": f"NVML said {percent} %"}

    def test_unknown_memory_stays_unknown(self) -> None:
        assert read(processes=[(4711, None)])["processes"][0]["memory_used"] is None

    def test_use_is_asked_for_a_window_not_since_the_last_sample(self) -> None:
        backend = Answers()
        read_devices(backend, [GPU], NOW_US)
        assert backend.since == NOW_US - WINDOW_US

    def test_pids_of_another_namespace_are_not_looked_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading, "sees_host_pids", lambda: False)
        (process,) = read()["processes"]
        assert (process["exe"], process["namespace"], process["started"]) == (None, None, None)


class TestLost:
    def test_a_lost_device_is_asked_nothing_more(self) -> None:
        lost = Answers(memory=DeviceLostError("GPU is lost"))
        both = _FirstLost()
        one, two = read_devices(both, [GPU, Device("1", "b", "GPU-2", object())], NOW_US)
        assert one["unavailable"] == {"device": "GPU is lost"}
        assert [one[name] for name in ("utilisation", "power_watts", "processes")] == [None] * 3
        assert two["utilisation"] == 93
        with pytest.raises(UnavailableError, match="every device is lost: GPU is lost"):
            read_devices(lost, [GPU], NOW_US)

    def test_no_devices_are_none_lost(self) -> None:
        assert read_devices(Answers(), [], NOW_US) == []


class _FirstLost(Answers):
    def memory(self, device: Device) -> tuple[int, int]:
        if device.index == "0":
            raise DeviceLostError("GPU is lost")
        return super().memory(device)


def process(pid: int, started: float) -> Process:
    return Process(pid, started, "/usr/bin/python3", (), 0)


@pytest.mark.parametrize(
    ("actor", "own"),
    [
        (Actor("s", namespace=77), True),
        (Actor("s", namespace=78), False),
        (Actor("s"), None),
        (Actor("s", process(4711, 100.9)), True),
        (Actor("s", process(4711, 500.0)), None),
        (Actor("s", process(4711, 500.0), namespace=78), False),
        (Actor("s", process(4712, 100.0), namespace=77), True),
    ],
)
def test_own_is_by_namespace_or_by_process(actor: Actor, own: bool | None) -> None:
    (device,) = attribute([read()], actor)
    assert device["processes"][0]["own"] is own


def test_where_nothing_can_be_read_own_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "owner", lambda pid: Owner(None, None, None, None))
    actor = Actor("s", process(4711, 100.0), namespace=77)
    (device,) = attribute([read()], actor)
    assert device["processes"][0]["own"] is None


def test_processes_that_could_not_be_listed_stay_unknown() -> None:
    device = read(processes=QueryError("Not Supported"))
    assert attribute([device], Actor("s"))[0]["processes"] is None


def _snapshot(own: bool | None, sm: int | None, utilisation: int | None) -> dict[str, object]:
    process = {"pid": 7, "own": own, "sm": sm}
    idle = {"index": 0, "utilisation": 0, "processes": None}
    return {"devices": [idle, {"index": 1, "utilisation": utilisation, "processes": [process]}]}


def test_busy_is_said_of_the_sandbox_s_own_work_only() -> None:
    said = "process 7 of the same sandbox uses GPU 1 at 97 %"
    assert busy(_snapshot(own=True, sm=97, utilisation=99)) == said
    assert busy(_snapshot(own=True, sm=None, utilisation=97)) == said
    for own, sm, utilisation in (
        (False, 97, 99),
        (None, 97, 99),
        (True, 3, 99),
        (True, None, None),
    ):
        assert busy(_snapshot(own, sm, utilisation)) == ""
    assert busy({"status": "unavailable", "reason": "no driver"}) == ""
