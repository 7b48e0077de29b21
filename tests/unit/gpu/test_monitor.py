"""One answer for each question, in time, whatever the driver does."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from firewall.actor import Actor
from firewall.gpu import GpuMonitor, monitor
from firewall.gpu.backend import Device, DeviceLostError, UnavailableError
from tests.waiting import PATIENCE, eventually

ACTOR = Actor("s1", namespace=1)


class FakeGpu:
    """One device. `hook` runs inside each reading: to be slow, or to fail."""

    def __init__(self, hook: Callable[[], None] = lambda: None) -> None:
        self.hook = hook
        self.missing = ""
        self.opened = self.closed = self.readings = 0

    def open(self) -> Sequence[Device]:
        self.opened += 1
        if self.missing:
            raise UnavailableError(self.missing)
        return [Device("0", "NVIDIA H200", "GPU-1", object())]

    def close(self) -> None:
        self.closed += 1

    def utilisation(self, device: Device) -> int:
        return 93

    def memory(self, device: Device) -> tuple[int, int]:
        self.hook()
        self.readings += 1
        return 1, 2

    def power(self, device: Device) -> int:
        return 600_000

    def clock(self, device: Device) -> int:
        return 1980

    def processes(self, device: Device) -> Sequence[tuple[int, int | None]]:
        return [(1, 5)]

    def process_utilisation(self, device: Device, since_us: int) -> Sequence[tuple[int, int, int]]:
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
    """A fresh snapshot; checks that there is no second answer."""
    answers: list[Mapping[str, Any]] = []
    gpu.fresh(ACTOR, answers.append)
    eventually(lambda: bool(answers))
    time.sleep(0.02)
    assert len(answers) == 1
    return answers[0]


def test_a_fresh_reading() -> None:
    with started(FakeGpu()) as gpu:
        snapshot = ask(gpu)
    assert (snapshot["status"], snapshot["reason"]) == ("ok", None)
    assert snapshot["age_ms"] < 250
    (device,) = snapshot["devices"]
    assert device["utilisation"] == 93
    assert "own" in device["processes"][0]
    assert json.loads(json.dumps(snapshot)) == snapshot


def test_latest_asks_nothing() -> None:
    backend = FakeGpu()
    with started(backend) as gpu:
        eventually(lambda: gpu.latest()["status"] == "ok")
        read = backend.readings
        for _ in range(100):
            assert gpu.latest()["devices"][0]["power_watts"] == 600.0
        assert backend.readings <= read + 1


def test_the_callback_runs_on_the_sampler() -> None:
    names: list[str] = []
    with started(FakeGpu()) as gpu:
        gpu.fresh(ACTOR, lambda snapshot: names.append(threading.current_thread().name))
        eventually(lambda: bool(names))
    assert names == ["gpu sampler"]


def test_a_flood_of_questions_is_no_flood_of_readings() -> None:
    backend = FakeGpu()
    answers: list[Mapping[str, Any]] = []
    with started(backend) as gpu:
        for _ in range(1000):
            gpu.fresh(ACTOR, answers.append)
        eventually(lambda: len(answers) == 1000)
        assert {each["status"] for each in answers} == {"ok"}
        assert backend.readings < 10


def test_history_is_kept_at_the_period_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with started(FakeGpu(), period=0.01) as gpu:
        eventually(lambda: len(gpu.latest()["history"]) == 60)
        time.sleep(0.05)
        history = gpu.latest()["history"]
    assert len(history) == 60
    assert history[-1]["utilisation"] == [93]
    assert set(history[-1]) == {"sampled_at", "utilisation", "memory_used", "power_watts"}


class TestSlow:
    def test_the_last_sample_is_given_with_its_age(self) -> None:
        gate, slow = threading.Event(), threading.Event()
        backend = FakeGpu(lambda: pass_through(gate) if slow.is_set() else None)
        answers: list[Mapping[str, Any]] = []
        with started(backend, period=0.05) as gpu:
            eventually(lambda: gpu.latest()["status"] == "ok")
            slow.set()
            time.sleep(0.15)
            asked = time.monotonic()
            gpu.fresh(ACTOR, answers.append)
            assert time.monotonic() - asked < 0.05, "fresh must not block its caller"
            eventually(lambda: bool(answers))
            assert 0.2 < time.monotonic() - asked < 0.6
            gate.set()
            time.sleep(0.1)
        (snapshot,) = answers
        assert (snapshot["status"], snapshot["reason"]) == ("ok", "fresh reading timed out")
        assert snapshot["age_ms"] > 250
        assert snapshot["devices"][0]["processes"][0]["pid"] == 1

    def test_before_the_first_reading_nothing_is_known(self) -> None:
        gate = threading.Event()
        with started(FakeGpu(lambda: pass_through(gate))) as gpu:
            snapshot = ask(gpu)
            gate.set()
        assert snapshot["status"] == "unavailable"
        assert snapshot["reason"] == "fresh reading timed out; there is no reading yet"
        assert snapshot["devices"] == []

    def test_an_old_reading_says_nothing_about_now(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(monitor, "STALE", 0.1)
        gate, slow = threading.Event(), threading.Event()
        backend = FakeGpu(lambda: pass_through(gate) if slow.is_set() else None)
        with started(backend, period=0.02) as gpu:
            eventually(lambda: gpu.latest()["status"] == "ok")
            slow.set()
            eventually(lambda: gpu.latest()["status"] == "unavailable")
            snapshot = gpu.latest()
            gate.set()
        assert snapshot["reason"] == "the last reading is 0 s old"
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

    def test_stop_answers_those_who_wait(self) -> None:
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

    with started(FakeGpu()) as gpu:
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
        time.sleep(0.1)
    assert counts == [1] * 400
