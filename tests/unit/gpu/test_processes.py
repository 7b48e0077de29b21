"""Who a pid is, from /proc, also where /proc says little."""

import os
import sys
import time
from pathlib import Path

import pytest

from firewall.gpu.processes import HOST_PID_NAMESPACE, owner, sees_host_pids


def test_this_very_process() -> None:
    found = owner(os.getpid())
    assert found is not None
    assert found.exe == str(Path(sys.executable).resolve())
    assert found.name
    assert found.namespace == Path("/proc/self/ns/net").stat().st_ino
    assert (found.uid, found.ancestors[0]) == (os.getuid(), os.getppid())
    assert found.argv == tuple(
        Path("/proc/self/cmdline").read_text()[:2048].rstrip("\0").split("\0")
    )
    assert found.container is not None
    assert found.started is not None
    assert time.time() - 3600 < found.started <= time.time() + 1


def test_a_process_that_is_gone() -> None:
    assert owner(4_194_304 + 1) is None


@pytest.mark.parametrize("name", ["a) R 1 1 (b", "x y", "\udcff"])
def test_a_name_cannot_shift_the_fields_of_stat(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    fields = " ".join(["S", "1", *(["0"] * 17), str(100 * os.sysconf("SC_CLK_TCK")), "0"])
    (folder / "stat").write_bytes(f"7 ({name}) {fields}".encode("utf-8", "surrogateescape"))
    (tmp_path / "stat").write_text("cpu 1 2\nbtime 1000\n")
    found = owner(7, tmp_path)
    assert found is not None
    assert (found.started, found.exe, found.namespace, found.container) == (
        1100.0,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    "stat", [b"", b"7 (x", b"7 (x) S 1", b"7 (x) " + b"z " * 30, b"7 (x) Z " + b"1 " * 30]
)
def test_what_has_no_stat_does_not_live(tmp_path: Path, stat: bytes) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "stat").write_bytes(stat)
    (tmp_path / "stat").write_text("btime 1000\n")
    assert owner(7, tmp_path) is None


def test_the_host_namespace_is_known_by_its_inode(tmp_path: Path) -> None:
    inode = Path("/proc/self/ns/pid").stat().st_ino
    assert sees_host_pids() is (inode == HOST_PID_NAMESPACE)
    assert sees_host_pids(tmp_path) is False
