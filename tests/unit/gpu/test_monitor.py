"""One answer for each question, in time, whatever the driver does."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from firewall.actor import Actor
from firewall.gpu import GpuMonitor, monitor
from firewall.gpu.aftermath import AFTER, GROUP
from firewall.gpu.backend import Device, DeviceLostError, UnavailableError, Use
from firewall.gpu.view import GpuView
from tests.waiting import PATIENCE, eventually

ACTOR = Actor("s1", namespace=1)


@dataclass
class Clock:
    """Stands still until a test moves it, and then moves the monitor's time."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(monitor, "time", made)
    return made


class FakeGpu:
    """One device. `hook` runs inside each reading: to be slow, or to fail."""

    def __init__(self, hook: Callable[[], None] = lambda: None) -> None:
        self.hook = hook
        self.missing = ""
        self.opened = self.listed = self.closed = self.readings = 0

    def open(self) -> None:
        self.opened += 1
        if self.missing:
            raise UnavailableError(self.missing)

    def devices(self) -> Sequence[Device]:
        self.listed += 1
        return [Device("0", "NVIDIA H200", "GPU-1", object())]

    def close(self) -> None:
        self.closed += 1

    def utilisation(self, device: Device) -> tuple[int, int]:
        return 93, 40

    def memory(self, device: Device) -> tuple[int, int]:
        self.hook()
        self.readings += 1
        return 1, 2

    def power(self, device: Device) -> int:
        return 600_000

    def clocks(self, device: Device) -> tuple[int, int]:
        return 1980, 2619

    def temperature(self, device: Device) -> int:
        return 61

    def throttle(self, device: Device) -> Sequence[str]:
        return ["software power cap"]

    def ecc(self, device: Device) -> int:
        return 0

    def processes(self, device: Device) -> Mapping[int, tuple[str, int | None]]:
        return {1: ("compute", 5)}

    def process_utilisation(self, device: Device, since_us: int) -> Sequence[Use]:
        return []


@contextmanager
def started(backend: FakeGpu, **options: Any) -> Iterator[GpuMonitor]:
    gpu = GpuMonitor(backend, **options)
    gpu.start()
    try:
        yield gpu
    finally:
        gpu.stop()


def pass_through(gate: threading.Event) -> None:
    """Hang as a driver does, until the test opens the gate."""
    assert gate.wait(PATIENCE)


def ask(gpu: GpuMonitor) -> Mapping[str, Any]:
    """A fresh snapshot; a later question's answer shows that there is no second one."""
    answers: list[Mapping[str, Any]] = []
    later: list[Mapping[str, Any]] = []
    gpu.fresh(ACTOR, answers.append)
    eventually(lambda: answers)
    gpu.fresh(ACTOR, later.append)
    eventually(lambda: later)
    assert len(answers) == 1
    return answers[0]


def test_a_fresh_reading(clock: Clock) -> None:
    backend = FakeGpu()
    with started(backend, patience=PATIENCE) as gpu:
        ask(gpu)
        assert backend.readings == 1, "one for two questions at the same moment"
        clock.now += 0.5
        snapshot = ask(gpu)
        assert backend.readings == 2
    assert (snapshot["status"], snapshot["reason"]) == ("ok", None)
    assert snapshot["age_ms"] == 0
    (device,) = snapshot["devices"]
    assert device["utilisation"] == 93
    assert "relation" in device["processes"][0]
    assert json.loads(json.dumps(snapshot)) == snapshot


def test_the_reading_before_is_told_with_its_age(clock: Clock) -> None:
    with started(FakeGpu(), patience=PATIENCE, period=PATIENCE) as gpu:
        ask(gpu)
        clock.now += 0.75
        snapshot = ask(gpu)
    assert (snapshot["age_ms"], snapshot["before"]["age_ms"]) == (0, 750.0)
    (device,) = snapshot["before"]["devices"]
    assert (device["utilisation"], "relation" in device["processes"][0]) == (93, True)


def test_a_flood_does_not_tell_one_moment_whole_again_and_again(clock: Clock) -> None:
    told: list[Mapping[str, Any]] = []
    with started(FakeGpu(), patience=PATIENCE, period=PATIENCE) as gpu:
        for _ in range(monitor.WHOLE + 2):
            gpu.fresh(ACTOR, told.append)
        eventually(lambda: len(told) == monitor.WHOLE + 2)
    assert [bool(each["history"]) for each in told] == [True] * monitor.WHOLE + [False] * 2
    assert len({each["moment"] for each in told}) == 1
    whole, brief = told[0], told[-1]
    assert brief["reason"] == "the first record of this moment tells the rest"
    assert brief["devices"][0]["utilisation"] == whole["devices"][0]["utilisation"]
    assert [len(each["devices"][0]["processes"]) for each in (whole, brief)] == [1, 0]


def test_a_reading_of_long_ago_is_not_told(clock: Clock) -> None:
    with started(FakeGpu(), patience=PATIENCE, period=1e9) as gpu:
        ask(gpu)
        clock.now += monitor.HISTORY + 1
        assert ask(gpu)["before"] is None


def test_each_moment_is_followed(clock: Clock) -> None:
    told: list[Mapping[str, Any]] = []
    with started(FakeGpu(), patience=PATIENCE, period=0.01) as gpu:
        gpu.follow(told.append)
        moment = ask(gpu)["moment"]
        clock.now += AFTER / 2
        later = ask(gpu)["moment"]
        clock.now += AFTER / 2 + GROUP
        eventually(lambda: told)
        assert moment not in (None, later)
    assert [each["moments"] for each in told] == [[moment], [later]]
    assert [each["ended"] for each in told] == ["a minute has passed", "the firewall stopped"]
    assert told[0]["gpu"]["history"]


def test_latest_asks_nothing() -> None:
    backend = FakeGpu()
    with started(backend, period=PATIENCE) as gpu:
        eventually(lambda: gpu.latest()["status"] == "ok")
        for _ in range(100):
            assert gpu.latest()["devices"][0]["power_watts"] == 600.0
        assert backend.readings == 1


def test_the_callback_runs_on_the_sampler() -> None:
    names: list[str] = []
    with started(FakeGpu(), patience=PATIENCE) as gpu:
        gpu.fresh(ACTOR, lambda snapshot: names.append(threading.current_thread().name))
        eventually(lambda: bool(names))
    assert names == ["gpu sampler"]


def test_a_flood_of_questions_is_no_flood_of_readings(clock: Clock) -> None:
    backend = FakeGpu()
    answers: list[Mapping[str, Any]] = []
    with started(backend, patience=PATIENCE) as gpu:
        for _ in range(1000):
            gpu.fresh(ACTOR, answers.append)
        eventually(lambda: len(answers) == 1000)
        assert {each["status"] for each in answers} == {"ok"}
        assert backend.readings == 1, "no time has passed"


def test_history_is_kept_at_the_period_and_bounded() -> None:
    backend = FakeGpu()
    with started(backend, period=0.01) as gpu:
        eventually(lambda: backend.readings > 70)
        history = gpu.latest()["history"]
    assert len(history) == 60
    assert history[-1]["utilisation"] == [93]
    assert set(history[-1]) == {"sampled_at", "utilisation", "memory_used", "power_watts"}


def test_the_ring_keeps_five_minutes() -> None:
    with started(FakeGpu(), period=0.001) as gpu:
        eventually(lambda: len(gpu.recent()) == monitor.RING)
        first = gpu.recent()[0]
        eventually(lambda: gpu.recent()[0] is not first)
        assert len(gpu.recent()) == monitor.RING


def test_the_list_of_devices_is_asked_for_rarely(clock: Clock) -> None:
    backend = FakeGpu()
    with started(backend, period=0.01, patience=PATIENCE) as gpu:
        ask(gpu)
        clock.now += monitor.RELIST / 2
        ask(gpu)
        assert backend.listed == 1
        clock.now += monitor.RELIST
        ask(gpu)
        eventually(lambda: backend.listed == 2)
    assert (backend.opened, backend.closed) == (1, 1)


def test_listing_the_devices_anew_makes_no_reading_come_early(clock: Clock) -> None:
    backend = FakeGpu()
    with started(backend, period=10 * monitor.RELIST, patience=PATIENCE) as gpu:
        ask(gpu)
        clock.now += monitor.RELIST
        ask(gpu)
        assert (backend.listed, backend.readings, len(gpu.recent())) == (2, 2, 1)


class TestSubscribers:
    def test_they_get_each_reading_on_the_sampler(self) -> None:
        told: list[tuple[str, GpuView]] = []
        backend = FakeGpu()
        with started(backend, period=0.01, sandboxes=lambda: {77: "s1"}) as gpu:
            gpu.subscribe(lambda view: told.append((threading.current_thread().name, view)))
            eventually(lambda: len(told) > 2)
            assert [view for _, view in told[:2]] == [
                view for view in gpu.recent() if view.taken in (told[0][1].taken, told[1][1].taken)
            ]
        name, view = told[0]
        assert (name, view.devices[0].utilisation, view.unavailable) == ("gpu sampler", 93, "")

    def test_they_learn_that_nothing_can_be_read(self) -> None:
        backend = FakeGpu()
        backend.missing = "no NVIDIA driver"
        told: list[GpuView] = []
        with started(backend, retry=0.01) as gpu:
            gpu.subscribe(told.append)
            eventually(lambda: told)
        assert (told[0].unavailable, told[0].devices) == ("no NVIDIA driver", ())

    def test_what_one_raises_harms_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(view: GpuView) -> None:
            raise RuntimeError("its own mistake")

        told: list[GpuView] = []
        with started(FakeGpu(), period=0.01) as gpu:
            gpu.subscribe(fail)
            gpu.subscribe(told.append)
            eventually(lambda: len(told) > 1)
        assert "its own mistake" in caplog.text


class Slow:
    """A driver that answers until `hang`, and then not before its gate is opened."""

    def __init__(self) -> None:
        self._slow, self._hung, self.gate = (threading.Event() for _ in range(3))
        self.gpu = FakeGpu(self._hook)

    def _hook(self) -> None:
        if self._slow.is_set():
            self._hung.set()
            pass_through(self.gate)

    def hang(self) -> None:
        """Return when a reading hangs."""
        self._slow.set()
        assert self._hung.wait(PATIENCE)

    def go_on(self) -> None:
        """Return when a whole reading has followed the one that hung."""
        read = self.gpu.readings
        self.gate.set()
        eventually(lambda: self.gpu.readings > read + 1)


class TestSlow:
    def test_the_last_sample_is_given_with_its_age(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(monitor, "STALE", PATIENCE)
        slow = Slow()
        answers: list[Mapping[str, Any]] = []
        with started(slow.gpu, period=0.05) as gpu:
            eventually(lambda: gpu.latest()["status"] == "ok")
            slow.hang()
            asked = time.monotonic()
            gpu.fresh(ACTOR, answers.append)
            eventually(lambda: answers)
            assert time.monotonic() - asked >= monitor.PATIENCE
            slow.go_on()
        (snapshot,) = answers
        assert (snapshot["status"], snapshot["reason"]) == ("ok", "fresh reading timed out")
        assert snapshot["age_ms"] > 250
        assert snapshot["devices"][0]["processes"][0]["pid"] == 1

    def test_who_asks_is_not_kept_waiting(self) -> None:
        slow = Slow()
        answers: list[Mapping[str, Any]] = []
        with started(slow.gpu, period=0.05, patience=PATIENCE) as gpu:
            slow.hang()
            gpu.fresh(ACTOR, answers.append)
            assert answers == [], "it has returned, and the driver still hangs"
            slow.go_on()
            eventually(lambda: answers)
        (snapshot,) = answers
        assert (snapshot["status"], snapshot["reason"]) == ("ok", None)

    def test_who_waits_at_the_end_gets_the_last_reading(self) -> None:
        slow = Slow()
        answers: list[Mapping[str, Any]] = []
        with started(slow.gpu, period=0.05, patience=PATIENCE) as gpu:
            eventually(lambda: gpu.latest()["status"] == "ok")
            slow.hang()
            gpu.fresh(ACTOR, answers.append)
            gpu._patience = 0.05
            gpu.stop()
            slow.gate.set()
        (snapshot,) = answers
        told = (snapshot["status"], snapshot["reason"])
        assert told == ("ok", "the GPU monitor was stopped")
        assert snapshot["before"]["devices"] == snapshot["devices"]

    def test_before_the_first_reading_nothing_is_known(self) -> None:
        gate = threading.Event()
        with started(FakeGpu(lambda: pass_through(gate))) as gpu:
            snapshot = ask(gpu)
            gate.set()
        assert snapshot["status"] == "unavailable"
        assert snapshot["reason"] == "fresh reading timed out; there is no reading yet"
        assert snapshot["devices"] == []

    def test_an_old_reading_says_nothing_about_now(self, clock: Clock) -> None:
        slow = Slow()
        with started(slow.gpu, period=0.05) as gpu:
            eventually(lambda: gpu.latest()["status"] == "ok")
            clock.now += 1
            slow.hang()
            assert gpu.latest()["status"] == "ok"
            clock.now += 7
            snapshot = gpu.latest()
            slow.gate.set()
        assert snapshot["status"] == "unavailable"
        assert snapshot["reason"] == "the last reading is 8 s old"
        assert snapshot["devices"] == []


class TestUnavailable:
    def test_not_started(self) -> None:
        answers: list[Mapping[str, Any]] = []
        GpuMonitor(FakeGpu()).fresh(ACTOR, answers.append)
        assert answers[0]["reason"] == "the GPU monitor was not started"

    def test_no_library_answers_at_once_with_the_reason(self) -> None:
        backend = FakeGpu()
        backend.missing = "no NVIDIA driver"
        with started(backend) as gpu:
            eventually(lambda: gpu.latest()["reason"] == "no NVIDIA driver")
            answers: list[Mapping[str, Any]] = []
            gpu.fresh(ACTOR, answers.append)
            (snapshot,) = answers
        assert (snapshot["status"], snapshot["devices"]) == ("unavailable", [])
        assert snapshot["history"][0]["unavailable"] == "no NVIDIA driver"

    def test_it_is_tried_again(self) -> None:
        backend = FakeGpu()
        backend.missing = "no NVIDIA driver"
        with started(backend, retry=0.02) as gpu:
            eventually(lambda: backend.opened > 2)
            backend.missing = ""
            eventually(lambda: gpu.latest()["status"] == "ok")

    def test_a_lost_driver_is_unavailable_and_comes_back(self) -> None:
        backend = FakeGpu()
        lost = threading.Event()

        def hook() -> None:
            if lost.is_set():
                raise DeviceLostError("GPU is lost")

        backend.hook = hook
        with started(backend, period=0.01, retry=0.02) as gpu:
            eventually(lambda: gpu.latest()["status"] == "ok")
            lost.set()
            eventually(lambda: gpu.latest()["status"] == "unavailable")
            assert "GPU is lost" in str(ask(gpu)["reason"])
            assert backend.closed >= 1
            lost.clear()
            eventually(lambda: gpu.latest()["status"] == "ok")

    def test_a_mistake_of_ours_is_unavailable_too(self, caplog: pytest.LogCaptureFixture) -> None:
        backend = FakeGpu()

        def hook() -> None:
            raise ZeroDivisionError("a mistake")

        backend.hook = hook
        with started(backend) as gpu:
            eventually(lambda: gpu.latest()["reason"] not in (None, "there is no reading yet"))
            assert "ZeroDivisionError('a mistake')" in gpu.latest()["reason"]
        assert "the GPU sampler failed" in caplog.text

    def test_stop_answers_those_who_wait(self, clock: Clock) -> None:
        gate = threading.Event()
        answers: list[Mapping[str, Any]] = []
        with started(FakeGpu(lambda: pass_through(gate)), patience=0.5) as gpu:
            gpu.fresh(ACTOR, answers.append)
            gpu.stop()
            eventually(lambda: bool(answers))
            gate.set()
        assert len(answers) == 1
        assert "the GPU monitor was stopped" in answers[0]["reason"]


def test_a_failing_waiter_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(snapshot: object) -> None:
        raise RuntimeError("a waiter's own mistake")

    with started(FakeGpu(), patience=PATIENCE) as gpu:
        gpu.fresh(ACTOR, fail)
        assert ask(gpu)["status"] == "ok"
    assert "a waiter of the GPU monitor failed" in caplog.text


def test_every_question_of_many_threads_gets_one_answer() -> None:
    counts = [0] * 400
    backend = FakeGpu(lambda: time.sleep(0.02))

    def work(first: int) -> None:
        for number in range(first, first + 50):
            gpu.fresh(ACTOR, lambda snapshot, number=number: count(number))  # type: ignore[misc]
            time.sleep(0.002)

    def count(number: int) -> None:
        counts[number] += 1

    with started(backend, patience=0.03, period=0.05) as gpu:
        threads = [threading.Thread(target=work, args=(each * 50,)) for each in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(lambda: 0 not in counts)
        ask(gpu)
    assert counts == [1] * 400
