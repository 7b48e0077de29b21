"""What a sandbox is to be: the program, the user it runs as, and what it may see."""

import os
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress

from firewall.frozen import frozen
from firewall.sandbox import linux
from firewall.sandbox.errors import SandboxError
from firewall.sandbox.privileges import Identity


@frozen
class SandboxSpec:
    """One agent's sandbox.

    `argv` is looked up in the PATH of `environment` and started in `directory`. `user` is the
    (uid, gid) to become when the firewall runs as real root; None keeps the caller's, which must
    not be root unless `keep_root`: root inside may write to root's files outside. `ca_pem` is the
    firewall's CA certificate, merged into every bundle found, `ssh_ca` the public key that signs
    the gateway's SSH host keys. `hide` names directories and files of the host that must not be
    seen, `read_only` those that must not be changed. `execute_from` names the folders below which
    programs may be executed; none means any.
    """

    argv: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    user: tuple[int, int] | None
    ca_pem: bytes
    ssh_ca: str = ""
    hide: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    keep_root: bool = False
    execute_from: tuple[str, ...] = ()


def identity(spec: SandboxSpec) -> Identity:
    """Who the agent will be. Raises SandboxError when that may not or cannot be."""
    own = (os.geteuid(), os.getegid())
    user = spec.user or own
    if own[0] != 0 and user != own:
        raise SandboxError(
            f"only root can run an agent as another user; leave the user out to run it as {own[0]}"
        )
    if user[0] == 0 and not spec.keep_root:
        raise SandboxError(
            "an agent must not run as root; name an unprivileged user for it to run as"
        )
    return Identity(*user, change=user != own)


def check(spec: SandboxSpec) -> None:
    """Refuse what would leave a hole. Raises SandboxError."""
    if not spec.argv:
        raise SandboxError("there is no program to run; write it after --")
    for path in (*spec.hide, *spec.read_only):
        if not os.path.isabs(path) or not os.path.exists(path):
            raise SandboxError(f"{path} cannot be protected: it must exist and be an absolute path")
    _check_executables(spec.execute_from)
    for handle, name in enumerate(("standard input", "standard output", "standard error")):
        _check_inherited(handle, name)


def _check_executables(folders: tuple[str, ...]) -> None:
    for folder in folders:
        if not os.path.isdir(folder):
            raise SandboxError(f"shell.execute-from: {folder} is no folder of this machine")
    if folders and linux.landlock_version() == 0:
        raise SandboxError(
            "shell.execute-from needs Landlock, which this kernel does not have; leave it out, or"
            " add landlock to the kernel's lsm= setting"
        )


def _check_inherited(handle: int, name: str) -> None:
    try:
        mode = os.fstat(handle).st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        raise SandboxError(f"{name} is a directory, from which the agent could reach the host")
    if stat.S_ISSOCK(mode) and not _leads_to_one_peer(handle):
        raise SandboxError(
            f"{name} is a socket of the host's network, which the agent could connect anew to"
            " anywhere; put a pipe between, for example: cat | firewall run ... | cat"
        )


def _leads_to_one_peer(handle: int) -> bool:
    """Whether a socket is a stream between two programs of this machine, as those of sshd are.

    It keeps the network that it was made in. One of IP can be disconnected and connected to
    another place, an unconnected one connected, and one of datagrams sends to any name.
    """
    with suppress(OSError), socket.socket(fileno=os.dup(handle)) as inherited:
        inherited.getpeername()
        kind = inherited.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
        return inherited.family == socket.AF_UNIX and kind != socket.SOCK_DGRAM
    return False
