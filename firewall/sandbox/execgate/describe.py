"""From a program that would run to the request and the actor that the judge is given."""

import os
import time
from collections.abc import Iterable, Sequence

from firewall.actor import Actor, Process
from firewall.commands import left_to_the_network, read_argv
from firewall.requests import Execute
from firewall.sandbox import procfs
from firewall.sandbox.execgate.files import Files, Program

SYSTEM = ("/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin")
KNOWN = (
    "autossh", "busybox", "chisel", "cloudflared", "curl", "dbclient", "docker", "frpc", "git",
    "nc", "nc.openbsd", "nc.traditional", "ncat", "ngrok", "node", "perl", "plink", "python3",
    "rsync", "ruby", "scp", "sftp", "socat", "ssh", "sshuttle", "tor", "wget", "xmrig",
)  # fmt: skip
"""Programs that are told by their content, whatever they are called."""
MULTICALL = ("busybox",)
_ANCESTORS = 32
_ANCESTOR_BYTES = 2 << 10
_REMEMBERED = 4096
_MOMENT = 0.5
"""Seconds; the kernel gives a number away again only after all others had their turn."""


class Names:
    """What a program is really called, by its content.

    Of the host's programs only those of the same size are read.
    """

    def __init__(self, files: Files, folders: Iterable[str] = SYSTEM) -> None:
        self._files = files
        self._folders = tuple(folders)
        self._by_size: dict[int, list[tuple[str, str]]] | None = None

    def of(self, digest: str, size: int) -> str:
        """The usual name of a known program; "" for others."""
        if self._by_size is None:
            self._by_size = self._known()
        alike = self._by_size.get(size, ()) if digest else ()
        return next((name for name, path in alike if self._files.digest_of(path) == digest), "")

    def _known(self) -> dict[int, list[tuple[str, str]]]:
        found: dict[int, list[tuple[str, str]]] = {}
        for name in KNOWN:
            for folder in self._folders:
                path = os.path.realpath(f"{folder}/{name}")
                if os.path.isfile(path):
                    found.setdefault(os.path.getsize(path), []).append((name, path))
        return found


def execute(program: Program, names: Names) -> Execute:
    """The request. Its commands are read under the program's usual name where it has one."""
    argv = program.argv
    known = names.of(program.digest, program.size)
    name = program.path if os.path.basename(program.path) == known else known or program.path
    # Some files choose what they are by the name that they are called by.
    words = argv if known in MULTICALL and argv else (name, *argv[1:])
    reading = read_argv(words, program.directory)
    return Execute(
        path=program.path,
        argv=argv,
        directory=program.directory,
        findings=tuple(each for each in reading.findings if not left_to_the_network(each)),
        script=program.script,
        digest=program.digest,
        commands=reading.commands,
    )


class Callers:
    """Who calls: the process and its ancestors up to the sandbox's first.

    An ancestor is remembered for a moment, or until it executes something itself, which the gate
    sees: a build starts thousands of programs from a few.
    """

    def __init__(self, sandbox: str, first: int, namespace: int) -> None:
        self._sandbox = sandbox
        self._first = first
        self._namespace = namespace
        self._known: dict[int, tuple[float, Process, int]] = {}

    def actor(self, pid: int) -> Actor:
        """The actor behind a process. Never raises: what cannot be read is said to be unknown."""
        try:
            chain = self._chain(pid)
        except (OSError, ValueError, IndexError) as error:
            reason = f"the process could not be read: {error}"
            return Actor(self._sandbox, namespace=self._namespace, unknown=reason)
        return Actor(self._sandbox, chain[0], tuple(chain[1:]), self._namespace)

    def forget(self, pid: int) -> None:
        """A process runs another program from now on."""
        self._known.pop(pid, None)

    def _chain(self, pid: int) -> Sequence[Process]:
        process, parent = procfs.describe_with_parent(pid)
        chain = [process]
        while parent > 1 and pid != self._first and len(chain) <= _ANCESTORS:
            pid = parent
            process, parent = self._ancestor(pid)
            chain.append(process)
        return chain

    def _ancestor(self, pid: int) -> tuple[Process, int]:
        known = self._known.get(pid)
        now = time.monotonic()
        if known is not None and known[0] > now:
            return known[1], known[2]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        process, parent = procfs.describe_with_parent(pid, _ANCESTOR_BYTES)
        self._known[pid] = (now + _MOMENT, process, parent)
        return process, parent
