"""How a container that runs already comes to trust the firewall's CA, and to ask it for names.

Where the container has a mount namespace of its own, a file of the host is mounted over its bundle
of authorities and over its resolv.conf: its image and its writable layer stay as they are, and a
read-only root is no hindrance. Programs that read no bundle of the system (Node.js, Python's
certifi) are told by variables, which only whoever starts them can set: `environment` lists them,
and `bundle.pem` beside it is to be mounted into the container at its start.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

from firewall.frozen import frozen
from firewall.node.files import read_regular
from firewall.node.place import is_the_hosts
from firewall.sandbox import enter, linux
from firewall.sandbox.environment import BUNDLE_VARIABLES
from firewall.sandbox.mounts import NAMESERVERS
from firewall.sandbox.trust import BUNDLES, bundles_found, merge

INSIDE = "/run/firewall-trust/bundle.pem"
"""Where the variables say the bundle is: the folder to mount at a container's start."""
RESOLV = "/etc/resolv.conf"
BUNDLE_LIMIT = 8 << 20
"""Bytes of a container's own bundle; its user chooses what is there."""

type Means = Literal["mounted", "environment"]


@frozen
class Trusted:
    """The firewall's CA and a folder of this machine for the files that are mounted."""

    ca: bytes
    folder: Path

    def prepare(self) -> None:
        """Write what containers may mount at their start. Raises OSError."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        own = [Path(each).read_bytes() for each in bundles_found()]
        _place(self.folder / "bundle.pem", merge(own, self.ca))
        _place(self.folder / "ca.pem", self.ca)
        lines = [f"{name}={value}\n" for name, value in environment().items()]
        _place(self.folder / "environment", "".join(lines).encode())

    def install(self, mounts: int) -> Means:
        """Mount into the mount namespace of this descriptor, what is not there yet. Raises OSError.

        The machine's own is left alone: what runs there shares its files with everybody.
        """
        if mounts < 0 or is_the_hosts(mounts, "mnt"):
            return "environment"
        with _opened(mounts, BUNDLES) as bundles, _opened(mounts, (RESOLV,)) as resolvers:
            for handle, content in bundles.items():
                self._cover(mounts, handle, content, merge([content], self.ca))
            for handle, content in resolvers.items():
                self._cover(mounts, handle, content, NAMESERVERS)
            return "mounted" if bundles else "environment"

    def _cover(self, mounts: int, target: int, before: bytes, content: bytes) -> None:
        if before == content:
            return
        source = self.folder / f"{hashlib.sha256(content).hexdigest()[:32]}.pem"
        if not source.exists():
            _place(source, content)
        tree = linux.detached(str(source))
        try:
            enter.in_mounts(mounts, lambda: linux.attach_mount(tree, target))
        finally:
            os.close(tree)


def environment() -> Mapping[str, str]:
    """The variables that tell programs of the bundle, for a container that mounts it."""
    return dict.fromkeys(BUNDLE_VARIABLES, INSIDE)


@contextmanager
def _opened(mounts: int, paths: Sequence[str]) -> Iterator[dict[int, bytes]]:
    """The files at these paths in a mount namespace, each once: their descriptors and contents.

    Who runs there may change the paths at any time, but not what a descriptor stands for.
    """
    handles = enter.in_mounts(mounts, partial(_handles, paths))
    try:
        read = ((each, _content(each)) for each in handles)
        yield {each: content for each, content in read if content is not None}
    finally:
        for each in handles:
            os.close(each)


def _handles(paths: Sequence[str]) -> list[int]:
    """Opened without following links of /proc, which may lead to files of our own."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    found: dict[tuple[int, int], int] = {}
    for path in paths:
        with suppress(OSError):
            handle = linux.open_in_root(root, path.encode(), os.O_PATH | os.O_CLOEXEC)
            now = os.fstat(handle)
            if found.setdefault((now.st_dev, now.st_ino), handle) != handle:
                os.close(handle)
    os.close(root)
    return list(found.values())


def _content(handle: int) -> bytes | None:
    """None where there is no regular file, or one that is too large: it stays as it is."""
    with suppress(OSError):
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return read_regular(f"/proc/self/fd/{handle}", BUNDLE_LIMIT)
    return None


def _place(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.{threading.get_ident()}")
    new.write_bytes(content)
    new.chmod(0o644)
    new.rename(path)
