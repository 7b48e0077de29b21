"""The tree of a blamed process is stopped, continued or ended; nobody else is."""

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from firewall.gpu.processes import owner
from firewall.sandbox.blamed import Blamed
from firewall.sandbox.freeze import Done
from firewall.sandbox.procfs import describe, family, state
from tests.waiting import PATIENCE, eventually

TREE = "import os, time\nos.fork()\nos.fork()\ntime.sleep(600)"


@pytest.fixture
def root() -> Iterator[int]:
    """A process with a child and a grandchild, and another child."""
    process = subprocess.Popen([sys.executable, "-c", TREE], start_new_session=True)
    try:
        eventually(lambda: len(family(process.pid)) == 3)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def _done(act: Callable[[Done], None]) -> tuple[int, str]:
    results: queue.Queue[tuple[int, str]] = queue.Queue()
    act(lambda *result: results.put(result))
    return results.get(timeout=PATIENCE)


def _states(pids: list[int]) -> str:
    return "".join(state(pid)[0] for pid in pids)


def _blamed(root: int) -> Blamed:
    blamed = Blamed()
    assert blamed.blame(root, describe(root).started) == ""
    return blamed


def test_a_tree_is_stopped_with_its_root_and_goes_on(root: int) -> None:
    blamed, tree = _blamed(root), [root, *family(root)]
    assert _done(blamed.freeze) == (4, "")
    assert _states(tree) == "TTTT"
    assert _done(blamed.thaw) == (4, "")
    eventually(lambda: _states(tree) == "SSSS")


def test_a_tree_is_ended(root: int) -> None:
    tree = family(root)
    assert _done(_blamed(root).terminate) == (4, "")
    eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in tree))
    assert os.waitstatus_to_exitcode(os.waitpid(root, 0)[1]) == -signal.SIGKILL


def test_what_stands_still_already_is_ended_too(root: int) -> None:
    for pid in (root, *family(root)):
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: _states([root, *family(root)]) == "TTTT")
    assert _done(_blamed(root).terminate) == (4, "")
    assert os.waitstatus_to_exitcode(os.waitpid(root, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("pid", "started", "why"),
    [
        (1, 0.0, "is never stopped: it is this firewall or the first of all"),
        (os.getpid(), describe(os.getpid()).started, "is never stopped"),
    ],
    ids=["the first of all", "this firewall"],
)
def test_who_is_never_stopped(pid: int, started: float | None, why: str) -> None:
    blamed = Blamed()
    assert why in blamed.blame(pid, started)
    assert _done(blamed.freeze) == (0, "")


def test_whose_start_is_another_or_not_known_is_not_stopped(root: int) -> None:
    blamed = Blamed()
    assert blamed.blame(root, describe(root).started - 60) == ""
    assert "its start is not known" in blamed.blame(root, None)
    assert _done(blamed.freeze) == (0, "")
    assert _states([root]) == "S"


def test_who_has_ended_needs_no_stopping() -> None:
    blamed = Blamed()
    assert blamed.blame(1 << 22, 1.0) == ""
    assert _done(blamed.terminate) == (0, "")


def test_a_tree_that_this_firewall_is_in_is_stopped_without_it(
    root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    blamed, parents = _blamed(root), family(root)
    own = next(pid for pid in parents if pid in parents.values())
    below = {pid for pid, parent in parents.items() if parent == own}
    monkeypatch.setattr(os, "getpid", lambda: own)
    assert set(blamed._members()) == {root, *parents} - {own} - below


HEADLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.fixture
def headless() -> Iterator[int]:
    """A process whose first thread has ended, which looks like a zombie and works on."""
    process = subprocess.Popen([sys.executable, "-c", HEADLESS])
    try:
        eventually(lambda: ") Z" in Path(f"/proc/{process.pid}/stat").read_text())
        yield process.pid
    finally:
        process.kill()
        process.wait(PATIENCE)


def test_who_looks_like_a_zombie_is_known_and_stopped(headless: int) -> None:
    found = owner(headless)
    assert found is not None
    assert found.namespace == Path("/proc/self/ns/net").stat().st_ino
    assert found.argv[1:] == ("-c", HEADLESS)
    blamed = Blamed()
    assert blamed.blame(headless, found.started) == ""
    assert _done(blamed.freeze) == (1, "")
    assert _states([headless]) == "T"
    assert _done(blamed.thaw) == (1, "")
    eventually(lambda: _states([headless]) == "S")


def test_who_ended_after_it_was_blamed_is_left_alone(root: int) -> None:
    blamed = _blamed(root)
    blamed._roots[root] -= 60
    assert _done(blamed.terminate) == (0, "")
    assert _states([root]) == "S"


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of version 2 of our own."""
    for root in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")):
        folder = root / f"firewall-test-{os.getpid()}"
        with suppress(OSError):
            if (root / "cgroup.procs").exists():
                folder.mkdir()
                break
    else:
        pytest.skip("no cgroup of version 2 can be made here")
    yield folder
    deadline = time.monotonic() + PATIENCE
    while (folder / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    folder.rmdir()


def test_what_is_alone_in_its_cgroup_is_frozen_there(cgroup: Path, root: int) -> None:
    for pid in (root, *family(root)):
        (cgroup / "cgroup.procs").write_text(str(pid))
    blamed = _blamed(root)
    assert _done(blamed.freeze) == (4, "")
    eventually(lambda: "frozen 1" in (cgroup / "cgroup.events").read_text())
    assert "T" not in _states([root, *family(root)])
    assert _done(blamed.thaw) == (4, "")
    eventually(lambda: "frozen 0" in (cgroup / "cgroup.events").read_text())
    assert _done(_blamed(root).terminate) == (4, "")


def test_a_cgroup_with_others_is_not_frozen(cgroup: Path, root: int) -> None:
    other = subprocess.Popen(["sleep", "600"])
    try:
        for pid in (root, other.pid, *family(root)):
            (cgroup / "cgroup.procs").write_text(str(pid))
        assert _done(_blamed(root).freeze) == (4, "")
        assert "frozen 0" in (cgroup / "cgroup.events").read_text()
        assert _states([other.pid]) == "S"
    finally:
        other.kill()
        other.wait()
        os.killpg(root, signal.SIGKILL)
        os.waitpid(root, 0)
