"""Where a sandbox is: its namespaces, held open, and whose they are.

Everything is opened by descriptor and looked at afterwards, so that no process id can come to mean
another process in between.
"""

import fcntl
import os
import select
import socket
import stat
from contextlib import suppress
from pathlib import Path

from firewall.frozen import frozen
from firewall.node.containers import first_process
from firewall.sandbox.enter import in_network

_NS_GET_NSTYPE = 0xB703
"""ioctl_ns(2)."""


class PlaceError(Exception):
    """There is no such place, or no sandbox may be there; the text says what to do instead."""


@frozen
class Place:
    """Descriptors: `network` and, where a process was named, `mounts` and `process` (a pidfd), else
    -1. `pid` is that process or 0; `owner` the user whose it is, root for a namespace's path."""

    network: int
    owner: int
    pid: int = 0
    process: int = -1
    mounts: int = -1

    @property
    def inode(self) -> int:
        """What the kernel calls this network namespace (namespaces(7))."""
        return os.fstat(self.network).st_ino

    def close(self) -> None:
        for each in (self.network, self.process, self.mounts):
            if each >= 0:
                os.close(each)


def of_process(pid: int) -> Place:
    """The namespaces of a process. Raises PlaceError where it does not run."""
    opened: list[int] = []
    try:
        opened.append(os.pidfd_open(pid))
        owner = os.stat(f"/proc/{pid}").st_uid
        opened.append(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        opened.append(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        process, network, mounts = opened
        # Alive still, so what was opened is of this process and of no later one of its number.
        if not _has_ended(process):
            return Place(network, owner, pid, process, mounts)
        why = "it has ended"
    except (OSError, ValueError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
    for each in opened:
        os.close(each)
    raise PlaceError(f"process {pid} cannot be attached to: {why}")


def _has_ended(process: int) -> bool:
    """Whether a pidfd is readable (pidfd_open(2))."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(0))


def of_path(path: str) -> Place:
    """The network namespace that a file stands for (ip-netns(8), /proc/PID/ns/net)."""
    handle = -1
    with suppress(OSError, ValueError):
        handle = _opened(path)
        if fcntl.ioctl(handle, _NS_GET_NSTYPE) == os.CLONE_NEWNET:
            return Place(handle, owner=0)
    if handle >= 0:
        os.close(handle)
    raise PlaceError(
        f"{path} is no network namespace; write the path of one, such as /run/netns/NAME or"
        " /proc/PID/ns/net"
    )


def _opened(path: str) -> int:
    """A regular file, opened without touching whatever else may be at the path."""
    found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(f"{path} is no regular file")
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(found)


def of_container(container: str, root: Path = Path("/")) -> Place:
    """The namespaces of a container's first process. Raises UnknownContainerError, PlaceError."""
    return of_process(first_process(container, root))


def must_be_closed(place: Place) -> None:
    """Raise PlaceError where something but the firewall leads out, or this is the host's network.

    An interface that is down counts too: whoever is root inside could raise it.
    """
    if is_the_hosts(place.network, "net"):
        raise PlaceError(
            "that is the network of the host itself; start the sandbox with a network of its own"
            " and nothing in it (--network none, unshare --net)"
        )
    names = in_network(place.network, lambda: [name for _, name in socket.if_nameindex()])
    if others := [each for each in names if each != "lo"]:
        raise PlaceError(
            f"{', '.join(others)} leads out of it besides the firewall; start the sandbox with no"
            " network (--network none). The tunnels that the kernel itself puts there (sit0, tunl0)"
            " stay away by `sysctl net.core.fb_tunnels_only_for_init_net=2`"
        )


def is_the_hosts(namespace: int, kind: str) -> bool:
    """Whether a namespace is this process's own, or that of the machine's first process."""
    for each in ("self", "1"):
        # Who may not see the first process's is in a container, and no way leads from here to it.
        with suppress(PermissionError):
            if os.path.samestat(os.fstat(namespace), os.stat(f"/proc/{each}/ns/{kind}")):
                return True
    return False
