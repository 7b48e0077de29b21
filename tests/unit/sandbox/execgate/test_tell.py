"""The line on a process's standard error goes where that process may write, and nowhere else."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from firewall.sandbox.execgate.tell import line, tell
from tests.unit.sandbox.execgate.stage import DENY


@contextmanager
def process(stderr: int) -> Iterator[int]:
    """A process that waits with this standard error."""
    pid = os.fork()
    if pid == 0:
        os.dup2(stderr, 2)
        signal.pause()
        os._exit(0)
    try:
        _until_its_own(pid, stderr)
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _until_its_own(pid: int, stderr: int) -> None:
    wanted = os.fstat(stderr)
    while not os.path.samestat(os.stat(f"/proc/{pid}/fd/2"), wanted):
        os.sched_yield()


def test_a_pipe_is_told() -> None:
    reader, writer = os.pipe()
    with process(writer) as pid:
        tell(pid, DENY)
    assert os.read(reader, 4096) == line(DENY)
    os.close(reader)
    os.close(writer)


def test_a_full_pipe_is_left_alone() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    size = 0
    while (sent := _sent(writer)) > 0:
        size += sent
    os.set_blocking(writer, True)
    with process(writer) as pid:
        tell(pid, DENY)
    os.set_blocking(reader, False)
    assert sum(map(len, iter(lambda: _received(reader), b""))) == size
    os.close(reader)
    os.close(writer)


def _sent(writer: int) -> int:
    try:
        return os.write(writer, b"x" * 4096)
    except BlockingIOError:
        return 0


def _received(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 16)
    except BlockingIOError:
        return b""


def test_what_the_process_only_reads_is_not_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    both = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with process(reader) as pid:
        tell(pid, DENY)
    assert _received(both) == b""
    os.close(both)
    os.close(reader)


def test_a_file_put_in_its_place_meanwhile_is_not_written(tmp_path: Path) -> None:
    """The process swaps its standard error for a file that it only reads, which root may write."""
    (tmp_path / "secret").write_text("as it was")
    secret = os.open(tmp_path / "secret", os.O_RDONLY)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        while True:
            os.dup2(writer, 2)
            os.dup2(secret, 2)
    try:
        for _ in range(5000):
            with suppress(OSError):
                tell(pid, DENY)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert (tmp_path / "secret").read_text() == "as it was"
    assert os.read(reader, 4096).startswith(line(DENY)), "the pipe was there now and then"
    for handle in (secret, reader, writer):
        os.close(handle)
