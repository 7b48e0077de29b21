"""Every process below one is stopped and continued, however it tries to go on."""

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from firewall.sandbox import Freezer, freeze
from firewall.sandbox.procfs import family, state
from tests.waiting import PATIENCE, eventually

BUSY = r"""
import os, signal, time
for number in (signal.SIGTERM, signal.SIGTSTP, signal.SIGCONT):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    own = os.getpid()
    while True:  # ever new processes, each of which wakes all others
        if (child := os.fork()) == 0:
            os.kill(0, signal.SIGCONT)
            time.sleep(0.002)
            os._exit(0)
        os.waitpid(child, 0)
if os.fork() == 0:
    while True:
        time.sleep(600)
if os.fork() == 0:
    os.setsid()
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)
time.sleep(600)
"""


@pytest.fixture
def first() -> Iterator[int]:
    """A process with three children, of which one never rests and one has stopped itself."""
    process = subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True)
    try:
        eventually(lambda: [_state(each) for each in family(process.pid)].count("T") == 1)
        yield process.pid
    finally:
        for each in (*family(process.pid), process.pid):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.wait(PATIENCE)


def _state(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return state(pid)[0]
    return "X"


def _done(act: object) -> tuple[int, str]:
    results: queue.Queue[tuple[int, str]] = queue.Queue()
    act(lambda *result: results.put(result))  # type: ignore[operator]
    return results.get(timeout=PATIENCE)


def test_all_stop_but_the_first_and_go_on_again(first: int) -> None:
    freezer = Freezer(first)
    own = [each for each in family(first) if _state(each) == "T"]
    count, trouble = _done(freezer.freeze)
    assert trouble == ""
    # One that had ended and waits for its parent, which is stopped, is nothing to stop.
    below = [each for each in family(first) if _state(each) != "Z"]
    assert [_state(each) for each in below] == ["T"] * len(below)
    assert len(below) >= 3
    assert count >= len(below) - len(own)
    assert _state(first) in "SR", "the first one serves the firewall"
    continued, trouble = _done(freezer.thaw)
    assert trouble == ""
    assert continued >= 2
    eventually(lambda: any(_state(each) in "SR" for each in below))
    assert [_state(each) for each in own] == ["T"], "what had stopped by itself is left alone"


def test_processes_that_never_end_appearing_are_told(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze, "FREEZE_SECONDS", 0)
    monkeypatch.setattr(Freezer, "_stop_what_runs", lambda self: True)
    _, trouble = _done(Freezer(first).freeze)
    assert trouble == "not every process could be reached: new ones still appear after 0 s"


def test_a_process_that_may_not_be_stopped_is_told(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(descriptor: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(signal, "pidfd_send_signal", forbidden)
        _, trouble = _done(Freezer(first).freeze)
    assert trouble.startswith("not every process could be reached: ")
    assert "not permitted" in trouble


def test_a_pid_that_is_another_process_by_now_is_left_alone(first: int) -> None:
    freezer = Freezer(first)
    child = next(iter(family(first)))
    freezer._stopped[child] = state(child)[1] - 1
    assert _done(freezer.thaw) == (0, "")
