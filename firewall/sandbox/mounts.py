"""What an agent sees of the file system: the host's, less every road out and every secret.

Everything here runs in a new mount namespace that belongs to the sandbox's user namespace, with
the agent's own user: what that user cannot reach needs no mask. A namespace that the agent makes
for itself inherits these mounts locked (mount_namespaces(7)): it can neither lift nor change them.
"""

import glob
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from firewall.frozen import frozen
from firewall.sandbox import linux
from firewall.sandbox.trust import KNOWN_HOSTS, SSH_DIRECTORY, Trust

FILES = "/run/agent-firewall"
"""Where the sandbox keeps what it shows in place of the host's files."""
HOME = "/run/agent-home"
"""A folder for the files of a user who has no home of its own; gone with the sandbox."""
BUNDLE = f"{FILES}/ca-certificates.crt"
TOOLS = f"{FILES}/tools.sock"
"""Where programs inside ask about tool calls."""
_MASK = f"{FILES}/masked"
_RESOLV = f"{FILES}/resolv.conf"
_KEYSTORE = f"{FILES}/cacerts"
_BACKLOG = 64
NAMESERVERS = b"nameserver 198.18.0.1\noptions edns0 trust-ad\n"

_PRIVATE = ("/run", "/var/run", "/tmp/.X11-unix", "/tmp/.ICE-unix")  # noqa: S108
_KEPT_IN_RUN = ("/run/nvidia", "/run/opengl-driver", "/run/current-system", "/run/wrappers")
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_GPUS = ("nvidia*", "dri", "kfd", "dxg")
_DEVICE_LINKS = {
    "core": "/proc/kcore",
    "fd": "/proc/self/fd",
    "ptmx": "pts/ptmx",
    "stderr": "/proc/self/fd/2",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
}
_NO_PROGRAMS = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
_NO_DEVICES = linux.MS_NOSUID | linux.MS_NODEV
# Writable for root by ownership alone, without a capability.
_KERNEL_FILES = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")


@frozen
class View:
    """What to hide, protect and replace, by absolute paths.

    `terminal` is the caller's, which stays visible as the console; `root` says that the agent's
    user is real root.
    """

    directory: str
    hide: tuple[str, ...]
    read_only: tuple[str, ...]
    sockets: tuple[str, ...]
    trust: Trust
    terminal: str | None
    root: bool


def build(view: View) -> socket.socket:
    """Make the view in this process's mount namespace. Raises OSError.

    Returns a listener at `TOOLS`, where nobody inside can put another.
    """
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    for path in (*view.read_only, *view.hide):
        _pin_ancestors(path)
    with _held((view.directory, *_KEPT_IN_RUN)) as kept, _held(_devices(view)) as devices:
        _private_directories()
        os.mkdir(HOME, 0o700)
        _own_files(view.trust)
        _fresh_devices(devices, view.terminal)
        _restore(kept)
    _kernel(view.root)
    for path in filter(_reachable, view.read_only):
        linux.mount(path, path, flags=linux.MS_BIND | linux.MS_REC)
        linux.make_read_only(path)
    mask(view.sockets)
    _install(view.trust)
    _resolver()
    for path in filter(_reachable, view.hide):
        _hide(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(TOOLS)
    listener.listen(_BACKLOG)
    linux.mount("none", FILES, flags=linux.MS_REMOUNT | linux.MS_RDONLY | _NO_PROGRAMS)
    return listener


def _hide(path: str) -> None:
    if os.path.isdir(path):
        options = "mode=000,size=4k"
        linux.mount("tmpfs", path, "tmpfs", _NO_PROGRAMS | linux.MS_RDONLY, options)
    else:
        linux.mount(_MASK, path, flags=linux.MS_BIND)


def mask(sockets: tuple[str, ...]) -> None:
    """Put an empty file over each socket, so that connecting to it is refused.

    A socket that is gone, or that the agent's user cannot reach, needs no mask.
    """
    for path in sockets:
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(_mode(path)):
                linux.mount(_MASK, path, flags=linux.MS_BIND)


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return 0


def _pin_ancestors(path: str) -> None:
    """Make mount points of the folders above, so that none can be renamed away.

    Renamed, they would take a protected folder along and make room for another in its place.
    """
    ancestor = os.path.dirname(os.path.realpath(path))
    while ancestor != "/":
        with suppress(PermissionError):  # what is out of the agent's reach needs no holding
            if _may_change(os.path.dirname(ancestor)):
                linux.mount(ancestor, ancestor, flags=linux.MS_BIND | linux.MS_REC)
        ancestor = os.path.dirname(ancestor)


def _may_change(directory: str) -> bool:
    """Whether the agent's user can write into a directory, if need be by changing its mode."""
    return os.access(directory, os.W_OK) or os.stat(directory).st_uid == os.getuid()


@contextmanager
def _held(paths: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """Hold on to what exists of these paths while something is mounted over them."""
    held: dict[str, int] = {}
    try:
        for path in paths:
            with suppress(OSError):
                held[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
        yield held
    finally:
        for handle in held.values():
            os.close(handle)


def _private_directories() -> None:
    for path in _PRIVATE:
        if os.path.isdir(path) and not os.path.islink(path):
            sticky = "mode=1777" if path.startswith("/tmp") else "mode=755"  # noqa: S108
            linux.mount("tmpfs", path, "tmpfs", _NO_DEVICES, sticky)


def _own_files(trust: Trust) -> None:
    os.mkdir(FILES, 0o755)
    linux.mount("tmpfs", FILES, "tmpfs", _NO_PROGRAMS, "mode=755")
    for path, content, mode in (
        (BUNDLE, trust.merged, 0o444),
        (_KEYSTORE, trust.keystore, 0o444),
        (_RESOLV, NAMESERVERS, 0o444),
        (_MASK, b"", 0),
    ):
        _write(path, content, mode)


def _write(path: str, content: bytes, mode: int) -> None:
    with open(path, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)


def _devices(view: View) -> tuple[str, ...]:
    """The devices that stay. All others go: RDMA, vsock, tun and USB are roads out as well."""
    names = [f"/dev/{name}" for name in _DEVICES]
    found = [path for pattern in _GPUS for path in glob.glob(f"/dev/{pattern}")]
    return (*names, *found, *((view.terminal,) if view.terminal else ()))


def _fresh_devices(devices: dict[str, int], terminal: str | None) -> None:
    linux.mount("tmpfs", "/dev", "tmpfs", linux.MS_NOSUID | linux.MS_NOEXEC, "mode=755")
    for path, handle in devices.items():
        _bind_held(handle, "/dev/console" if path == terminal else path)
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"/dev/{name}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"/dev/{name}")
    options = "newinstance,ptmxmode=0666,mode=620"
    linux.mount("devpts", "/dev/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, options)
    linux.mount("tmpfs", "/dev/shm", "tmpfs", _NO_PROGRAMS, "mode=1777")  # noqa: S108
    if os.path.exists("/proc/sys/fs/mqueue"):
        linux.mount("mqueue", "/dev/mqueue", "mqueue", _NO_PROGRAMS)


def _restore(kept: dict[str, int]) -> None:
    """Show again what stays visible of the folders that were covered."""
    for path, handle in kept.items():
        if not _is(path, handle) and _beneath(path, (*_PRIVATE, "/dev")):
            _bind_held(handle, path)


def _is(path: str, handle: int) -> bool:
    return os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(handle))


def _beneath(path: str, directories: tuple[str, ...]) -> bool:
    real = os.path.realpath(path)
    return any(os.path.commonpath([real, each]) == each for each in directories)


def _bind_held(handle: int, target: str) -> None:
    """Bind what `handle` refers to at `target`, making the place for it."""
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(target, b"", 0o644)
    linux.mount(f"/proc/self/fd/{handle}", target, flags=linux.MS_BIND | linux.MS_REC)


def _kernel(root: bool) -> None:
    """The processes of this sandbox only; and the kernel's settings and cgroups read-only."""
    linux.mount("proc", "/proc", "proc", _NO_PROGRAMS)
    linux.make_read_only("/sys")
    for path in _KERNEL_FILES if root else ():
        if os.path.exists(path):
            linux.mount(path, path, flags=linux.MS_BIND | linux.MS_REC)
            linux.make_read_only(path)


def _install(trust: Trust) -> None:
    for path in trust.directories:
        with _copied(path):
            _write(_free(os.path.join(path, trust.hashed)), trust.ca, 0o444)
    if trust.known_hosts and os.path.isdir(SSH_DIRECTORY):
        with _copied(SSH_DIRECTORY, without=KNOWN_HOSTS):
            _write(os.path.join(SSH_DIRECTORY, KNOWN_HOSTS), trust.known_hosts, 0o444)
    for path, policy in trust.policies.items():
        with _copied(_deepest(path)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _write(path, policy, 0o444)
    for path in trust.files:
        linux.mount(BUNDLE, path, flags=linux.MS_BIND)
    for path in trust.stores:
        linux.mount(_KEYSTORE, path, flags=linux.MS_BIND)


def _deepest(path: str) -> str:
    """The folder on the way to a path that is there and lies next to it."""
    folder = os.path.dirname(path)
    return folder if os.path.isdir(folder) else _deepest(folder)


@contextmanager
def _copied(path: str, without: str = "") -> Iterator[None]:
    """A copy of a directory stands in its place; read-only once the caller has added its files."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        linux.mount("tmpfs", path, "tmpfs", _NO_PROGRAMS, "mode=755")
        with os.scandir(handle) as entries:
            for entry in entries:
                if entry.name != without:
                    _copy(entry, handle, os.path.join(path, entry.name))
    finally:
        os.close(handle)
    yield
    linux.mount("none", path, flags=linux.MS_REMOUNT | linux.MS_RDONLY | _NO_PROGRAMS)


def _copy(entry: os.DirEntry[str], directory: int, target: str) -> None:
    if entry.is_symlink():
        os.symlink(os.readlink(entry.name, dir_fd=directory), target)
        return
    with suppress(PermissionError):
        source = os.open(entry.name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        try:
            _bind_held(source, target)
        finally:
            os.close(source)


def _free(name: str) -> str:
    """The first of name.0, name.1, ... that is not taken: OpenSSL reads them all in turn."""
    number = 0
    while os.path.lexists(f"{name}.{number}"):
        number += 1
    return f"{name}.{number}"


def _resolver() -> None:
    """Ask the firewall for names, wherever this machine keeps its resolver's settings."""
    path = os.path.realpath("/etc/resolv.conf")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, b"", 0o644)
    linux.mount(_RESOLV, path, flags=linux.MS_BIND)


def _reachable(path: str) -> bool:
    """Whether the agent's user can see a path; one that is covered already, it cannot."""
    try:
        os.stat(path)
    except (FileNotFoundError, PermissionError):
        return False
    return True
