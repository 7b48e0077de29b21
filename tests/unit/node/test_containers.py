"""A container's first process, from the files that each engine keeps, and the kernel's word."""

import os
from pathlib import Path

import pytest

from firewall.node.containers import UnknownContainerError, first_process

ID = "4f5c" * 16
OTHER = "4f5d" * 16
USERDATA = "containers/storage/overlay-containers"

PLACES = {
    "docker": f"run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/{ID}/init.pid",
    "containerd": f"run/containerd/io.containerd.runtime.v2.task/default/{ID}/init.pid",
    "kubernetes": f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/init.pid",
    "k3s": f"run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/init.pid",
    "podman": f"run/{USERDATA}/{ID}/userdata/pidfile",
    "rootless": f"run/user/1000/containers/overlay-containers/{ID}/userdata/pidfile",
}


def machine(root: Path, place: str, pid: int = 77, container: str = ID) -> Path:
    path = root / place
    path.parent.mkdir(parents=True)
    path.write_text(f"{pid}\n")
    (root / f"proc/{pid}").mkdir(parents=True, exist_ok=True)
    (root / f"proc/{pid}/cgroup").write_text(f"0::/system.slice/docker-{container}.scope\n")
    return root


@pytest.mark.parametrize("engine", PLACES)
@pytest.mark.parametrize("digits", [12, 64])
def test_it_is_found_where_the_engine_keeps_it(tmp_path: Path, engine: str, digits: int) -> None:
    assert first_process(ID[:digits], machine(tmp_path, PLACES[engine])) == 77


def test_a_pid_file_that_outlived_its_process_means_nothing(tmp_path: Path) -> None:
    root = machine(tmp_path, PLACES["podman"], container=OTHER)
    with pytest.raises(UnknownContainerError, match="no engine of this machine runs"):
        first_process(ID, root)


def test_two_that_begin_alike_are_not_confused(tmp_path: Path) -> None:
    machine(tmp_path, PLACES["podman"])
    twin = ID[:60] + "0000"
    machine(tmp_path, PLACES["docker"].replace(ID, twin), pid=78, container=twin)
    with pytest.raises(UnknownContainerError, match="more than one container has"):
        first_process(ID[:12], tmp_path)
    assert first_process(ID, tmp_path) == 77


@pytest.mark.parametrize("text", ["", "abc", "../../etc/passwd", "4F5C" * 4, "*" * 12, ID + "0"])
def test_what_is_no_id_is_told_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnknownContainerError, match="is no container's id"):
        first_process(text, tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "endless", "large"])
def test_a_pid_file_may_be_anything_and_nothing_waits_for_it(tmp_path: Path, kind: str) -> None:
    machine(tmp_path, PLACES["rootless"])
    path = tmp_path / PLACES["rootless"]
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.write_text("7" * 100_000)
    with pytest.raises(UnknownContainerError, match="no engine of this machine runs"):
        first_process(ID, tmp_path)
