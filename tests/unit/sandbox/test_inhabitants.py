"""Freezing a network reaches those who have left it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from firewall.sandbox.inhabitants import NamespaceFreezer
from firewall.sandbox.procfs import family, state
from tests.unit.sandbox.test_freeze import _done

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nsenter") is None, reason="needs root and nsenter"
)


@contextmanager
def started(*words: str) -> Iterator[int]:
    """A process, once it or what it starts has said that it is ready."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        for each in (*family(process.pid), process.pid):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.communicate()


def _freezer(pid: int) -> NamespaceFreezer:
    return NamespaceFreezer(os.stat(f"/proc/{pid}/ns/net").st_ino)


def test_a_child_that_has_left_the_network_is_stopped() -> None:
    leaving = "unshare --net sh -c 'echo ready; exec sleep 1000' & wait"
    with started("unshare", "--net", "sh", "-c", leaving) as pid:
        (child,) = family(pid)
        freezer = _freezer(pid)
        assert _done(freezer.freeze) == (2, "")
        assert {state(each)[0] for each in (pid, child)} == {"T"}
        assert _done(freezer.thaw) == (2, "")


def test_what_was_executed_in_a_container_and_left_is_stopped() -> None:
    first = "echo ready; exec sleep 1000"
    with started("unshare", "--net", "--pid", "--fork", "sh", "-c", first) as engine:
        (container,) = family(engine)
        enter = ("nsenter", "-t", str(container), "--net", "--pid", "--")
        with started(*enter, "unshare", "--net", "sh", "-c", first) as outside:
            (executed,) = family(outside)
            assert not os.path.samefile(f"/proc/{executed}/ns/net", f"/proc/{container}/ns/net")
            freezer = _freezer(container)
            _done(freezer.freeze)
            assert {state(each)[0] for each in (container, executed)} == {"T"}
            _done(freezer.thaw)
