"""How a container that runs already comes to trust the firewall's CA, and to ask it for names.

Where the container has a mount namespace of its own, a file of the host is mounted over its bundle
of authorities and over its resolv.conf: its image and its writable layer stay as they are, and a
read-only root is no hindrance. Programs that read no bundle of the system (Node.js, Python's
certifi) are told by variables, which only whoever starts them can set: `environment` lists them,
and `bundle.pem` beside it is to be mounted into the container at its start.
"""

import hashlib
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

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


@dataclass(frozen=True, slots=True)
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
        found = enter.in_mounts(mounts, _bundles)
        wanted = {path: merge([content], self.ca) for path, content in found.items()}
        for path, content in {**wanted, RESOLV: NAMESERVERS}.items():
            if enter.in_mounts(mounts, partial(_content, path)) not in (None, content):
                self._cover(mounts, path, content)
        return "mounted" if found else "environment"

    def _cover(self, mounts: int, path: str, content: bytes) -> None:
        source = self.folder / f"{hashlib.sha256(content).hexdigest()[:32]}.pem"
        if not source.exists():
            _place(source, content)
        tree = linux.detached(str(source))
        try:
            enter.in_mounts(mounts, lambda: _put(tree, path))
        finally:
            os.close(tree)


def environment() -> Mapping[str, str]:
    """The variables that tell programs of the bundle, for a container that mounts it."""
    return dict.fromkeys(BUNDLE_VARIABLES, INSIDE)


def _bundles() -> dict[str, bytes]:
    """The bundles of authorities here, each once and whole."""
    paths = dict.fromkeys(os.path.realpath(each) for each in BUNDLES)
    return {path: content for path in paths if (content := _content(path)) is not None}


def _content(path: str) -> bytes | None:
    """None where there is no such file: nobody would read it."""
    with suppress(OSError):
        return read_regular(path, BUNDLE_LIMIT)
    return None


def _put(tree: int, path: str) -> None:
    """Cover a file."""
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        linux.attach_mount(tree, target)
    finally:
        os.close(target)


def _place(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.{threading.get_ident()}")
    new.write_bytes(content)
    new.chmod(0o644)
    new.rename(path)
