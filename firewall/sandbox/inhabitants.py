"""The processes of a network namespace that somebody else has made: a container's, say.

They have no common ancestor of ours: an engine starts what `exec` adds beside the first one. So
they are told by the namespace alone.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from firewall.sandbox.actors import ActorFinder, holders
from firewall.sandbox.freeze import Freezer
from firewall.sandbox.procfs import Glance, family, lineage

_FIRST = 1
_ROOTS = 8
"""Processes that were found last, below which the next is likely to be."""


def inhabitants(namespace: int) -> Iterator[int]:
    """The processes whose network namespace has this inode (namespaces(7))."""
    wanted = f"net:[{namespace}]"
    for pid in _processes():
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/net") == wanted:
                yield pid


def _processes() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


class NamespaceFinder(ActorFinder):
    """Finds the actors of the flows of one namespace, each with its ancestors on the host.

    `root` is a process of it, or 0 where none is known. Those below it are looked at first: a look
    at every process of the machine costs more the more sandboxes there are.
    """

    def __init__(self, sandbox: str, root: int, namespace: int, diag: socket.socket) -> None:
        super().__init__(sandbox, _FIRST, namespace, diag)
        self._roots = (root,) if root else ()

    def _search(
        self, wanted: set[int], look: Callable[[int], Glance]
    ) -> tuple[dict[int, int], dict[int, int], int]:
        found, unreadable = holders(self._below() if wanted else {}, wanted)
        if len(found) < len(wanted):
            everybody = dict.fromkeys(inhabitants(self._namespace), _FIRST)
            found, unreadable = holders(everybody, wanted)
            tops = (_highest(pid, self._namespace) for pid in set(found.values()))
            self._roots = tuple(dict.fromkeys((*tops, *self._roots)))[:_ROOTS]
        lines: dict[int, int] = {}
        for pid in set(found.values()):
            lines |= lineage(pid, _FIRST, look)
        known = {inode: pid for inode, pid in found.items() if pid in lines or pid == _FIRST}
        return lines, known, unreadable

    def _below(self) -> dict[int, int]:
        near = dict.fromkeys(self._roots, _FIRST)
        for root in self._roots:
            near |= family(root)
        return near


def _highest(pid: int, namespace: int) -> int:
    """The highest of a process and those above it that is in the namespace."""
    wanted, highest = f"net:[{namespace}]", pid
    for each in reversed(lineage(pid, _FIRST)):
        with suppress(OSError):
            if os.readlink(f"/proc/{each}/ns/net") != wanted:
                break
            highest = each
    return highest


class NamespaceFreezer(Freezer):
    """Stops and continues the processes of one namespace."""

    def __init__(self, namespace: int) -> None:
        super().__init__(0)
        self._namespace = namespace

    def _members(self) -> Iterable[int]:
        """Those inside, and those that have left by unshare(2): they are below one that is inside,
        or in a pid namespace that one inside is the first process of, as a container's is."""
        inside = list(inhabitants(self._namespace))
        named = {_pid_namespace(each) for each in inside if _is_first(each)} - {None}
        beside = [each for each in _processes() if _pid_namespace(each) in named] if named else []
        below = (child for each in (*inside, *beside) for child in family(each))
        return {*inside, *beside, *below} - {_FIRST, os.getpid()}


def _pid_namespace(pid: int) -> str | None:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/pid")
    return None


def _is_first(pid: int) -> bool:
    """Whether a process is the first of a pid namespace below ours (proc_pid_status(5), NSpid)."""
    with suppress(OSError):
        _, _, rest = Path(f"/proc/{pid}/status").read_text().partition("\nNSpid:")
        _, *below = rest.partition("\n")[0].split()
        return below[-1:] == ["1"]
    return False
