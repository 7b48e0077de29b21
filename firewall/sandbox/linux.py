"""System calls that Python does not wrap, each as a function that raises OSError.

Numbers and structures are those of Linux's include/uapi, the same on x86_64 and aarch64.
"""

import ctypes
import os

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

_SYS_CLOSE_RANGE = 436
_SYS_MOUNT_SETATTR = 442
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_RESTRICT_SELF = 446

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 1
_LANDLOCK_CREATE_RULESET_VERSION = 1
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


def prctl(option: int, *arguments: int) -> int:
    """prctl(2) with integer arguments."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _checked(_libc.prctl(option, *(ctypes.c_ulong(each) for each in padded)))


def install_filter(instructions: bytes) -> None:
    """Install a seccomp filter: struct sock_filter, eight bytes each (linux/filter.h)."""

    class SockFprog(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    program = SockFprog(len(instructions) // 8, instructions)
    mode_filter = ctypes.c_ulong(2)
    _checked(_libc.prctl(PR_SET_SECCOMP, mode_filter, ctypes.byref(program), 0, 0))


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
    attributes = (ctypes.c_uint64 * 3)(0, 0, _LANDLOCK_SCOPES)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = _checked(
        _libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    )
    try:
        _checked(_libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
