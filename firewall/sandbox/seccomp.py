"""The system calls that a sandboxed program may not make, as a seccomp filter.

A namespace without a route stops what goes through the network stack. This stops the roads beside
it: socket families that namespaces do not confine (AF_VSOCK), io_uring (which makes sockets where
no filter sees them), the calls of another architecture, and typing into the caller's terminal.
Formats: linux/filter.h, linux/seccomp.h, linux/audit.h.
"""

import errno
import platform
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence

from firewall.frozen import frozen

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_NOT_BELOW = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
ERRNO = 0x00050000

_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32_BIT = 0x40000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_PR_SET_DUMPABLE = 4
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_PROTOCOLS = (0, socket.IPPROTO_ICMP, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMPV6)

# Kernel interfaces that no agent needs and that have been the way out of many a container.
_FORBIDDEN = (
    "acct",
    "add_key",
    "bpf",
    "delete_module",
    "finit_module",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "open_by_handle_at",
    "perf_event_open",
    "quotactl",
    "reboot",
    "request_key",
    "swapoff",
    "swapon",
    "userfaultfd",
)
# A namespace of the agent's own may not change mounts: with pivot_root and umount2 it would leave
# behind what keeps a protected folder from being renamed, and put another in its place.
_MOUNTING = (
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "pivot_root",
    "umount2",
)
_ABSENT = ("io_uring_setup", "io_uring_enter", "io_uring_register")
# A system call newer than this list may be a road that no rule here knows of.
_FIRST_UNKNOWN = 470
_SHARED = {
    "fsconfig": 431,
    "fsmount": 432,
    "fsopen": 430,
    "fspick": 433,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "io_uring_setup": 425,
    "mount_setattr": 442,
    "move_mount": 429,
    "open_tree": 428,
    "open_tree_attr": 467,
}

X86_64: Mapping[str, int] = _SHARED | {
    "acct": 163,
    "add_key": 248,
    "bpf": 321,
    "delete_module": 176,
    "finit_module": 313,
    "init_module": 175,
    "ioctl": 16,
    "ioperm": 173,
    "iopl": 172,
    "kexec_file_load": 320,
    "kexec_load": 246,
    "keyctl": 250,
    "mount": 165,
    "open_by_handle_at": 304,
    "perf_event_open": 298,
    "pivot_root": 155,
    "prctl": 157,
    "prlimit64": 302,
    "quotactl": 179,
    "reboot": 169,
    "request_key": 249,
    "socket": 41,
    "socketpair": 53,
    "swapoff": 168,
    "swapon": 167,
    "umount2": 166,
    "userfaultfd": 323,
}
AARCH64: Mapping[str, int] = _SHARED | {
    "acct": 89,
    "add_key": 217,
    "bpf": 280,
    "delete_module": 106,
    "finit_module": 273,
    "init_module": 105,
    "ioctl": 29,
    "kexec_file_load": 294,
    "kexec_load": 104,
    "keyctl": 219,
    "mount": 40,
    "open_by_handle_at": 265,
    "perf_event_open": 241,
    "pivot_root": 41,
    "prctl": 167,
    "prlimit64": 261,
    "quotactl": 60,
    "reboot": 142,
    "request_key": 218,
    "socket": 198,
    "socketpair": 199,
    "swapoff": 225,
    "swapon": 224,
    "umount2": 39,
    "userfaultfd": 282,
}
_ARCHITECTURES: Mapping[str, tuple[int, Mapping[str, int]]] = {
    "x86_64": (0xC000003E, X86_64),
    "aarch64": (0xC00000B7, AARCH64),
}


EXECUTES: Mapping[str, Mapping[int, bool]] = {
    "x86_64": {59: False, 322: True},
    "aarch64": {221: False, 281: True},
}
"""The numbers of execve and execveat; True for the one that takes a folder."""


@frozen
class Step:
    """One instruction. `yes` and `no` name the labels a jump goes to; "" is the next step."""

    code: int
    value: int
    yes: str = ""
    no: str = ""
    label: str = ""


def assemble(steps: Sequence[Step]) -> bytes:
    """Turn steps into struct sock_filter, resolving labels to relative jumps (forward only)."""
    places = {step.label: place for place, step in enumerate(steps) if step.label}

    def distance(label: str, place: int) -> int:
        return places[label] - place - 1 if label else 0

    return b"".join(
        struct.pack(
            "=HBBI", step.code, distance(step.yes, place), distance(step.no, place), step.value
        )
        for place, step in enumerate(steps)
    )


def supported(machine: str | None = None) -> bool:
    """Whether there is a filter for this kind of processor."""
    return (machine or platform.machine()) in _ARCHITECTURES


def agent_filter(machine: str | None = None) -> bytes:
    """The filter for an agent. Raises KeyError on a processor that is not supported."""
    architecture, numbers = _ARCHITECTURES[machine or platform.machine()]
    return assemble([*_entrance(architecture), *_calls(numbers), _give(ALLOW)])


def exec_filter(machine: str | None = None) -> bytes:
    """The filter that tells of every execve. Other architectures' calls `agent_filter` refuses."""
    numbers = EXECUTES[machine or platform.machine()]
    tests = [Step(JUMP_EQUAL, number, yes="told") for number in numbers]
    return assemble([Step(LOAD, _NUMBER), *tests, _give(ALLOW), _give(NOTIFY, "told")])


def _give(value: int, label: str = "") -> Step:
    return Step(RETURN, value, label=label)


def _refuse(code: int, label: str = "") -> Step:
    return _give(ERRNO | code, label)


def _argument(index: int, label: str = "") -> Step:
    """Load the low half of an argument: all that the kernel reads of an int."""
    return Step(LOAD, _ARGUMENTS + 8 * index, label=label)


def _high_half(index: int) -> Step:
    """Load the upper half of an argument, which pointers need too (both processors: last)."""
    return Step(LOAD, _ARGUMENTS + 8 * index + 4)


def _entrance(architecture: int) -> list[Step]:
    """Refuse the calls of other architectures, whose numbers mean other things."""
    return [
        Step(LOAD, _ARCHITECTURE),
        Step(JUMP_EQUAL, architecture, yes="native"),
        _refuse(errno.EPERM),
        Step(LOAD, _NUMBER, label="native"),
        Step(JUMP_NOT_BELOW, _X32_BIT, no="own"),
        _refuse(errno.EPERM),
        Step(JUMP_NOT_BELOW, _FIRST_UNKNOWN, no="known", label="own"),
        _refuse(errno.ENOSYS),
    ]


def _calls(numbers: Mapping[str, int]) -> list[Step]:
    steps: list[Step] = []
    bodies: dict[str, list[Step]] = {
        name: [_refuse(errno.EPERM)] for name in (*_FORBIDDEN, *_MOUNTING)
    }
    bodies |= {name: [_refuse(errno.ENOSYS)] for name in _ABSENT}
    bodies |= {
        "socket": _socket(),
        "socketpair": _one_of(0, [socket.AF_UNIX], errno.EAFNOSUPPORT, "pair"),
        "ioctl": _none_of(1, [_TIOCSTI, _TIOCLINUX], errno.EPERM, "control"),
        "prctl": _dumpable(),
        "prlimit64": _own_limits(),
    }
    known = {name: body for name, body in bodies.items() if name in numbers}
    label = "known"
    for name, body in known.items():
        steps.append(Step(JUMP_EQUAL, numbers[name], no=f"after-{name}", label=label))
        steps += body
        label = f"after-{name}"
    return [*steps, Step(LOAD, _NUMBER, label=label)]


def _one_of(index: int, values: Iterable[int], code: int, name: str) -> list[Step]:
    """Allow the call if the argument is one of these values."""
    tests = [Step(JUMP_EQUAL, value, yes=f"{name}-allowed") for value in values]
    return [_argument(index), *tests, _refuse(code), _give(ALLOW, f"{name}-allowed")]


def _none_of(index: int, values: Iterable[int], code: int, name: str) -> list[Step]:
    """Allow the call unless the argument is one of these values."""
    tests = [Step(JUMP_EQUAL, value, yes=f"{name}-refused") for value in values]
    return [_argument(index), *tests, _give(ALLOW), _refuse(code, f"{name}-refused")]


def _socket() -> list[Step]:
    """Only the families that a network namespace confines; of IP only what can be traced.

    MPTCP and SMC carry a flow on sockets inside the kernel that belong to no process; SCTP and
    the rest cannot be given to the firewall.
    """
    internet = [Step(JUMP_EQUAL, family, yes="internet") for family in _FAMILIES]
    protocols = [Step(JUMP_EQUAL, each, yes="socket-allowed") for each in _PROTOCOLS]
    return [
        _argument(0),
        *internet,
        Step(JUMP_EQUAL, socket.AF_UNIX, yes="socket-allowed"),
        Step(JUMP_EQUAL, socket.AF_NETLINK, yes="socket-allowed"),
        _refuse(errno.EAFNOSUPPORT),
        _argument(2, label="internet"),
        *protocols,
        _refuse(errno.EPROTONOSUPPORT),
        _give(ALLOW, "socket-allowed"),
    ]


def _dumpable() -> list[Step]:
    """Pretend that a program hid itself from debuggers.

    Hidden, it would hide from an unprivileged firewall too, which reads /proc to say who asked.
    """
    return [
        _argument(0),
        Step(JUMP_EQUAL, _PR_SET_DUMPABLE, no="prctl-allowed"),
        _argument(1),
        Step(JUMP_EQUAL, 0, no="prctl-allowed"),
        _refuse(0),
        _give(ALLOW, "prctl-allowed"),
    ]


def _own_limits() -> list[Step]:
    """Let a program limit itself (process 0) and read limits, but limit no other process.

    Process 1 is the broker, of the same user: without descriptors it could make no more sockets. A
    filter does not know its caller's number, so naming oneself by it is refused as well.
    """
    return [
        _argument(0),
        Step(JUMP_EQUAL, 0, yes="limits-allowed"),
        _argument(2),
        Step(JUMP_EQUAL, 0, no="limits-refused"),
        _high_half(2),
        Step(JUMP_EQUAL, 0, yes="limits-allowed"),
        _refuse(errno.EPERM, "limits-refused"),
        _give(ALLOW, "limits-allowed"),
    ]
