"""From a container's id to its first process, by what the engines themselves keep on disk.

    Docker, containerd  RUN/io.containerd.runtime.v2.task/NAMESPACE/ID/init.pid (containerd,
                        core/runtime/v2/bundle.go; Docker's namespace is "moby", that of Kubernetes
                        "k8s.io")
    Podman, CRI-O       STORAGE/overlay-containers/ID/userdata/pidfile (the runroot of
                        containers/storage)

A pid file outlives its process, and that of a rootless engine belongs to its user. So the kernel
has the last word: the process must be in a cgroup that names this container (gpu.cgroup).
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from firewall.gpu.cgroup import place
from firewall.node.files import read_regular

TASKS = (
    "run/containerd/io.containerd.runtime.v2.task/*",
    "run/docker/containerd/daemon/io.containerd.runtime.v2.task/*",
    "run/k3s/containerd/io.containerd.runtime.v2.task/*",
)
STORAGES = (
    "run/containers/storage/overlay-containers",
    "run/user/*/containers/overlay-containers",
)
_ID = re.compile(r"[0-9a-f]{12,64}")
_WHOLE = 64
_DIGITS = 16
"""Bytes of a pid file; that of a rootless engine is its user's own."""


class UnknownContainerError(Exception):
    """No running container has this id."""


def first_process(container: str, root: Path = Path("/")) -> int:
    """The first process of a running container, by its id or 12 digits of it or more.

    Raises UnknownContainerError. `root` is where the machine's files are.
    """
    if not _ID.fullmatch(container):
        raise UnknownContainerError(
            f"{container!r} is no container's id: write 12 to 64 of its hex digits, as"
            " `docker ps --no-trunc` and `podman ps --no-trunc` show them"
        )
    found = {pid for pid in _pids(container, root) if _is_of(pid, container, root)}
    if len(found) == 1:
        return found.pop()
    why = (
        "more than one container has" if found else "no engine of this machine runs a container of"
    )
    raise UnknownContainerError(f"{why} the id {container}; write all 64 digits of a running one's")


def _pids(container: str, root: Path) -> Iterator[int]:
    name = container if len(container) == _WHOLE else f"{container}*"
    patterns = [f"{each}/{name}/init.pid" for each in TASKS]
    patterns += [f"{each}/{name}/userdata/pidfile" for each in STORAGES]
    for pattern in patterns:
        for path in root.glob(pattern):
            with suppress(OSError, ValueError):
                yield int(read_regular(path, _DIGITS))


def _is_of(pid: int, container: str, root: Path) -> bool:
    with suppress(OSError):
        found = place((root / f"proc/{pid}/cgroup").read_text())
        return found.container.startswith(container)
    return False
