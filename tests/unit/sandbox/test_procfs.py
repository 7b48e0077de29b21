import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firewall.actor import Process
from firewall.sandbox import procfs
from tests.waiting import eventually


def described(child: subprocess.Popen[bytes]) -> Process:
    """What a child is, once the kernel has its arguments in place."""
    while not any((found := procfs.describe(child.pid)).argv):
        time.sleep(0.001)
    return found


def test_a_process_is_described() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        found = described(child)
        child.kill()
    assert found.argv == ("sleep", "30")
    assert os.path.basename(found.exe) in ("sleep", "coreutils", "busybox")
    assert found.uid == os.getuid()
    assert abs(time.time() - found.started) < 10


def test_an_image_changes_when_a_process_executes_another_program() -> None:
    with subprocess.Popen(
        ["sh", "-c", "read wait; exec sh -c 'read wait; read wait'"], stdin=subprocess.PIPE
    ) as child:
        eventually(lambda: described(child).argv[-1].startswith("read wait; exec"))
        before = procfs.glance(child.pid).image
        same = procfs.glance(child.pid).image
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        eventually(lambda: described(child).argv[-1] == "read wait; read wait")
        after = procfs.glance(child.pid).image
        child.kill()
    assert before == same != after
    assert before[:2] == after[:2], "the same process under the same name"


def test_a_process_without_memory_has_no_image() -> None:
    child = subprocess.Popen(["true"])
    eventually(lambda: procfs.state(child.pid)[0] == "Z")
    assert procfs.glance(child.pid).image == ()
    child.wait()


def test_its_start_is_the_same_each_time() -> None:
    assert procfs.describe(os.getpid()) == procfs.describe(os.getpid())


def test_arguments_that_are_no_text_can_be_written_down() -> None:
    name = procfs._text(b"caf\xe9")
    assert name == "caf\\xe9"
    assert name.encode()


def _of_two(family: dict[int, int]) -> dict[int, int]:
    return family if len(family) >= 2 else {}


def test_a_family_is_listed_parents_first() -> None:
    script = "sh -c 'sleep 30 & wait' & wait"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as child:
        parents = eventually(lambda: _of_two(procfs.family(child.pid)))
        os.killpg(child.pid, 9)
    found = list(parents)
    assert len(found) >= 2
    assert child.pid not in found
    for place, pid in enumerate(found):
        assert parents[pid] == child.pid or parents[pid] in found[:place]


def test_a_lineage_leads_from_the_first_process_to_one_inside() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 30 & wait"], start_new_session=True) as child:
        [inside] = eventually(lambda: list(procfs.family(child.pid)))
        line = procfs.lineage(inside, os.getpid())
        outside = procfs.lineage(os.getpid(), child.pid)
        os.killpg(child.pid, 9)
    assert list(line.items()) == [(child.pid, os.getpid()), (inside, child.pid)]
    assert outside == {}, "it is not inside"


def test_a_process_that_is_gone() -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    assert procfs.family(child.pid) == {}
    assert procfs.lineage(child.pid, os.getpid()) == {}
    with pytest.raises(OSError):
        procfs.describe(child.pid)


def test_a_long_command_line_is_cut() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 30; :", *["x" * 1000] * 100]) as child:
        found = described(child)
        child.kill()
    assert 60_000 < sum(map(len, found.argv)) <= 64 << 10


def test_sockets_are_seen() -> None:
    before = set(procfs.socket_inodes(os.getpid()))
    with socket.socket() as made:
        inode = os.fstat(made.fileno()).st_ino
        assert set(procfs.socket_inodes(os.getpid())) - before == {inode}


def test_the_descriptor_that_was_not_looked_at_for_longest_comes_first() -> None:
    looked: dict[str, None] = {}
    assert list(procfs._by_age(["0", "1", "2"], looked)) == ["0", "1", "2"]
    assert next(procfs._by_age(["0", "1", "2"], looked)) == "0"
    assert list(procfs._by_age(["0", "2", "3"], looked)) == ["3", "2", "0"]
    assert list(looked) == ["3", "2", "0"], "1 is gone"
    with socket.socket() as made:
        inode = os.fstat(made.fileno()).st_ino
        assert inode in set(procfs.socket_inodes(os.getpid(), {}))


HEADLESS = """
import ctypes, socket, threading, time
kept = socket.socketpair()
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_whose_first_thread_has_ended_is_no_zombie() -> None:
    with subprocess.Popen([sys.executable, "-c", HEADLESS]) as child:
        eventually(lambda: ") Z" in Path(f"/proc/{child.pid}/stat").read_text())
        found, letter = procfs.describe(child.pid), procfs.state(child.pid)[0]
        sockets = list(procfs.socket_inodes(child.pid))
        child.kill()
    assert found.argv == (sys.executable, "-c", HEADLESS)
    assert found.exe == str(Path(sys.executable).resolve())
    assert (letter, len(sockets)) == ("S", 2)
