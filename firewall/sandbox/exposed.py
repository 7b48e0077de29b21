"""Which sockets of the host a program could reach through the file system.

A network namespace confines abstract Unix sockets but not those with a path: whoever can open the
path can talk to the server, which may be Docker, tmux or an SSH agent. They are found in the
kernel's list, in the mount table (a socket bound into a container), in the environment, and in
the folders where programs usually leave them.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

_UNIX_LIST = "/proc/net/unix"
_MOUNTS = "/proc/self/mountinfo"
_PATH = 7
_OCTAL = re.compile(r"\\([0-7]{3})")
_IN_VALUE = re.compile(r"/[^\s,;:=]+")
_USUAL = (("/tmp", 2), ("/var/tmp", 2))  # noqa: S108


def host_sockets(environment: Mapping[str, str], directory: str) -> tuple[str, ...]:
    """Real paths of the sockets that exist now, each once; to be asked before the agent runs.

    `environment` and `directory` are the agent's, before anything is taken out of them.
    """
    listed = list(unix_paths(_read(_UNIX_LIST)))
    candidates = [
        *_bound(listed, directory),
        *_linked(listed),
        *mount_points(_read(_MOUNTS)),
        *(path for value in environment.values() for path in _IN_VALUE.findall(value)),
    ]
    home = environment.get("HOME", directory)
    for root, depth in (*_USUAL, (home, 1), (directory, 1)):
        candidates += _sockets_in(root, depth)
    return _real(candidates)


def later_sockets(directory: str, pid: int) -> tuple[str, ...]:
    """Real paths of the sockets that are the host's, while the agent has sockets of its own.

    `directory` is the agent's, `pid` a process of its network. Only the kernel's list can tell
    whose a socket is, so what merely looks like the host's counts only if it is not the agent's.
    """
    listed = list(unix_paths(_read(_UNIX_LIST)))
    certain = [path for path in listed if path.startswith("/")]
    guessed = _real([*_bound(listed, directory), *_linked(listed)])
    own = frozenset(_real(_bound(_listed_in_network_of(pid), directory)))
    known = _real([*certain, *mount_points(_read(_MOUNTS))])
    return tuple(dict.fromkeys([*known, *(path for path in guessed if path not in own)]))


def _real(candidates: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_resolved(path) for path in candidates if _is_socket(path)))


def _listed_in_network_of(pid: int) -> list[str]:
    try:
        return list(unix_paths(_read(f"/proc/{pid}/net/unix")))
    except OSError:
        return []


def _bound(listed: list[str], directory: str) -> Iterator[str]:
    yield from (path for path in listed if path.startswith("/"))
    yield from _relative([path for path in listed if not path.startswith("/")], directory)


def _linked(listed: list[str]) -> Iterator[str]:
    """Sockets that got their name by link(2) or rename(2) after they were bound by another.

    ssh's control sockets do (OpenSSH, mux.c: muxserver_listen) and supervisord's: the kernel lists
    the first name, which is gone, and the second is in the same folder.
    """
    gone = [path for path in listed if path.startswith("/") and not os.path.lexists(path)]
    for folder in dict.fromkeys(os.path.dirname(path) for path in gone):
        yield from _sockets_in(folder, 1)


def unix_paths(listing: str) -> Iterator[str]:
    """The paths in /proc/net/unix (proc_net(5)), abstract names left out."""
    for line in listing.splitlines()[1:]:
        fields = line.split(None, _PATH)
        if len(fields) > _PATH and not fields[_PATH].startswith("@"):
            yield fields[_PATH]


def mount_points(table: str) -> Iterator[str]:
    """The mount points in /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    for line in table.splitlines():
        yield _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), line.split(" ")[4])


def _relative(paths: list[str], directory: str) -> Iterator[str]:
    """A server that bound "x.sock" did so in its working directory, as far as can be seen."""
    if not paths:
        return
    directories = {directory, *_working_directories()}
    yield from (os.path.join(each, path) for each in directories for path in paths)


def _working_directories() -> Iterator[str]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                yield os.readlink(f"/proc/{name}/cwd")


def _sockets_in(root: str, depth: int) -> Iterable[str]:
    with suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if depth > 1:
                    yield from _sockets_in(entry.path, depth - 1)
            elif not entry.is_symlink() and not entry.is_file(follow_symlinks=False):
                yield entry.path


def _resolved(path: str) -> str:
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
