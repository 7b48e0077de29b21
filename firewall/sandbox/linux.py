"""System calls that Python does not wrap, each as a function that raises OSError.

Numbers and structures are those of Linux's include/uapi, the same on x86_64 and aarch64.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable

CLONE_FS = 0x200

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

LANDLOCK_WITH_SCOPES = 6
"""The first Landlock ABI that confines signals: Linux 6.12 (landlock(7))."""

_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_CLOSE_RANGE = 436
_SYS_OPENAT2 = 437
_SYS_PIDFD_GETFD = 438
_SYS_MOUNT_SETATTR = 442
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT_SELF = 446

_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_NOTIF_SIZES = 1, 3
_RESOLVE_IN_ROOT = 0x10
_OPEN_HOW_BYTES = ctypes.c_size_t(24)
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_MOUNT_ATTR_RDONLY = 1
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_EXECUTE = 1
_LANDLOCK_SCOPES = 0b11  # abstract Unix sockets and signals
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, path: str | None = None) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), path)
    return result


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        source.encode(),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _checked(result, target)


def make_read_only(target: str) -> None:
    """mount_setattr(2): make the mount at `target` and all below it read-only (Linux 5.12)."""
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        os.fsencode(target),
        _AT_RECURSIVE,
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _checked(result, target)


def detached(path: str) -> int:
    """open_tree(2): a read-only mount of the file at `path` that is at no place yet (Linux 5.12).

    It may be carried into another mount namespace: see `attach_mount`.
    """
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    tree = _checked(_libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags), path)
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    try:
        _checked(
            _libc.syscall(
                _SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size
            ),
            path,
        )
    except OSError:
        os.close(tree)
        raise
    return tree


def attach_mount(tree: int, target: int) -> None:
    """move_mount(2): put a detached mount over what the descriptor `target` refers to."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    _checked(_libc.syscall(_SYS_MOVE_MOUNT, tree, b"", target, b"", flags))


def prctl(option: int, *arguments: int) -> int:
    """prctl(2) with integer arguments."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _checked(_libc.prctl(option, *(ctypes.c_ulong(each) for each in padded)))


class _SockFprog(ctypes.Structure):
    """struct sock_fprog: struct sock_filter is eight bytes (linux/filter.h)."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install_filter(instructions: bytes) -> None:
    """Install a seccomp filter."""
    program = _SockFprog(len(instructions) // 8, instructions)
    mode_filter = ctypes.c_ulong(2)
    _checked(_libc.prctl(PR_SET_SECCOMP, mode_filter, ctypes.byref(program), 0, 0))


def listening_filter(flags: int, instructions: bytes) -> int:
    """Install a seccomp filter whose notifications are read from the descriptor returned."""
    program = _SockFprog(len(instructions) // 8, instructions)
    number = _SYS_SECCOMP[platform.machine()]
    return _checked(_libc.syscall(number, _SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(program)))


def notification_sizes() -> tuple[int, int, int]:
    """The sizes of a notification, its answer and a call's data; zeros where there are none."""
    sizes = (ctypes.c_uint16 * 3)()
    number = _SYS_SECCOMP.get(platform.machine())
    if number is not None:
        _libc.syscall(number, _SECCOMP_GET_NOTIF_SIZES, 0, ctypes.byref(sizes))
    return sizes[0], sizes[1], sizes[2]


def fetch_descriptor(process: int, number: int) -> int:
    """pidfd_getfd(2): a copy of another process's descriptor (Linux 5.6)."""
    return _checked(_libc.syscall(_SYS_PIDFD_GETFD, process, number, 0))


def open_in_root(root: int, path: bytes, flags: int) -> int:
    """openat2(2): open a path as a process would whose root directory is `root` (Linux 5.6)."""
    how = struct.pack("=3Q", flags, 0, _RESOLVE_IN_ROOT)
    return _checked(_libc.syscall(_SYS_OPENAT2, root, path, how, _OPEN_HOW_BYTES))


def clear_capabilities() -> None:
    """capset(2): empty the effective, permitted and inheritable sets of this thread."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    _checked(_libc.capset(ctypes.byref(header), ctypes.byref(data)))


def close_from(first: int) -> None:
    """close_range(2): close every descriptor from `first` on."""
    result = _libc.syscall(
        _SYS_CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0)
    )
    _checked(result)


def landlock_version() -> int:
    """The kernel's Landlock ABI, 0 where there is none (landlock(7))."""
    result = _libc.syscall(
        _SYS_LANDLOCK_CREATE_RULESET,
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint(_LANDLOCK_CREATE_RULESET_VERSION),
    )
    return max(0, int(result))


def scope_signals() -> None:
    """Landlock: from now on signals and abstract sockets reach only this process's own kin."""
    _restrict(0, _LANDLOCK_SCOPES, ())


def execute_only_from(folders: Iterable[str]) -> None:
    """Landlock: from now on only what lies below these folders can be executed. Raises OSError."""
    _restrict(_LANDLOCK_EXECUTE, 0, folders)


def _restrict(access: int, scopes: int, folders: Iterable[str]) -> None:
    """landlock_create_ruleset(2), landlock_add_rule(2) and landlock_restrict_self(2)."""
    attributes = (ctypes.c_uint64 * 3)(access, 0, scopes)
    size = ctypes.c_size_t(ctypes.sizeof(attributes) if scopes else 8)
    ruleset = _checked(
        _libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    )
    try:
        for folder in folders:
            _allow_beneath(ruleset, access, folder)
        _checked(_libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow_beneath(ruleset: int, access: int, folder: str) -> None:
    class PathBeneath(ctypes.Structure):
        _pack_ = 1
        _layout_ = "ms"
        _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))

    handle = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = PathBeneath(access, handle)
        _checked(
            _libc.syscall(
                _SYS_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(rule), 0
            ),
            folder,
        )
    finally:
        os.close(handle)
