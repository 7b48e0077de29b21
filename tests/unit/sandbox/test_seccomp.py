"""The filter, run by a small interpreter of classic BPF: what it answers for each call."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.sandbox import seccomp
from firewall.sandbox.seccomp import AARCH64, ALLOW, ERRNO, X86_64, Step, assemble

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {"x86_64": X86_64, "aarch64": AARCH64}
I386, ARM = 0x40000003, 0x40000028


def run(program: bytes, number: int, arguments: tuple[int, ...] = (), arch: int = 0) -> int:
    """What the filter returns for struct seccomp_data (linux/seccomp.h)."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=iIQ6Q", number, arch, 0, *padded)
    steps = list(struct.iter_unpack("=HBBI", program))
    accumulator = place = 0
    for _ in range(len(steps)):
        code, yes, no, value = steps[place]
        place += 1
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == seccomp.JUMP_EQUAL:
            place += yes if accumulator == value else no
        elif code == seccomp.JUMP_NOT_BELOW:
            place += yes if accumulator >= value else no
        else:
            assert code == seccomp.RETURN
            return int(value)
    raise AssertionError("the program has no end")


def answer(machine: str, name: str, *arguments: int) -> int:
    number = NUMBERS[machine][name]
    program = seccomp.agent_filter(machine)
    return run(program, number, arguments, ARCHITECTURES[machine])


def refused(code: int) -> int:
    return ERRNO | code


MPTCP, SCTP, UDPLITE = 262, 132, 136
CASES = [
    ("socket", (1, 1, 0), ALLOW),
    ("socket", (2, 1, 0), ALLOW),
    ("socket", (2, 1, 6), ALLOW),
    ("socket", (2, 2, 17), ALLOW),
    ("socket", (10, 2, 58), ALLOW),
    ("socket", (16, 3, 4), ALLOW),
    ("socket", (16, 3, 200), ALLOW),
    ("socket", (40, 1, 0), refused(errno.EAFNOSUPPORT)),
    ("socket", (17, 3, 0), refused(errno.EAFNOSUPPORT)),
    ("socket", (0, 1, 0), refused(errno.EAFNOSUPPORT)),
    ("socket", (38, 5, 0), refused(errno.EAFNOSUPPORT)),
    ("socket", (2, 1, MPTCP), refused(errno.EPROTONOSUPPORT)),
    ("socket", (10, 1, SCTP), refused(errno.EPROTONOSUPPORT)),
    ("socket", (2, 2, UDPLITE), refused(errno.EPROTONOSUPPORT)),
    # The kernel reads an int: what stands above it must not matter.
    ("socket", (40 | 1 << 32, 1, 0), refused(errno.EAFNOSUPPORT)),
    ("socket", (2 | 1 << 32, 1, MPTCP | 1 << 40), refused(errno.EPROTONOSUPPORT)),
    ("socketpair", (1, 1, 0), ALLOW),
    ("socketpair", (30, 1, 0), refused(errno.EAFNOSUPPORT)),
    ("ioctl", (0, 0x5412), refused(errno.EPERM)),
    ("ioctl", (0, 0x541C), refused(errno.EPERM)),
    ("ioctl", (0, 0x5412 | 1 << 32), refused(errno.EPERM)),
    ("ioctl", (0x5412, 0x5413), ALLOW),
    ("prctl", (4, 0), refused(0)),
    ("prctl", (4, 1), ALLOW),
    ("prctl", (15, 0), ALLOW),
    ("prlimit64", (0, 7, 0x7FFF_0000_0000), ALLOW),
    ("prlimit64", (1, 7, 0), ALLOW),
    ("prlimit64", (1, 7, 0x1000), refused(errno.EPERM)),
    ("prlimit64", (1, 7, 0x7FFF_0000_0000), refused(errno.EPERM)),
    ("prlimit64", (1 << 32, 7, 0x1000), ALLOW),
    ("io_uring_setup", (1, 0), refused(errno.ENOSYS)),
    ("io_uring_enter", (1, 0), refused(errno.ENOSYS)),
    ("io_uring_register", (1, 0), refused(errno.ENOSYS)),
    ("bpf", (), refused(errno.EPERM)),
    ("keyctl", (), refused(errno.EPERM)),
    ("kexec_load", (), refused(errno.EPERM)),
    ("open_by_handle_at", (), refused(errno.EPERM)),
    ("perf_event_open", (), refused(errno.EPERM)),
    ("userfaultfd", (), refused(errno.EPERM)),
    ("mount", (), refused(errno.EPERM)),
    ("umount2", (), refused(errno.EPERM)),
    ("pivot_root", (), refused(errno.EPERM)),
    ("move_mount", (), refused(errno.EPERM)),
]


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(("name", "arguments", "expected"), CASES)
def test_each_call(machine: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert answer(machine, name, *arguments) == expected


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_other_calls_are_allowed(machine: str) -> None:
    program = seccomp.agent_filter(machine)
    named = set(NUMBERS[machine].values())
    others = [number for number in range(470) if number not in named]
    assert {run(program, each, (), ARCHITECTURES[machine]) for each in others} == {ALLOW}
    assert len(others) > 400


@pytest.mark.parametrize("machine", ARCHITECTURES)
@given(number=st.integers(470, 0x3FFFFFFF))
def test_calls_that_are_not_known_yet_do_not_exist(machine: str, number: int) -> None:
    program = seccomp.agent_filter(machine)
    assert run(program, number, (), ARCHITECTURES[machine]) == refused(errno.ENOSYS)


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("foreign", [I386, ARM, 0])
@given(number=st.integers(0, 600))
def test_calls_of_another_architecture_are_refused(machine: str, foreign: int, number: int) -> None:
    assert run(seccomp.agent_filter(machine), number, (), foreign) == refused(errno.EPERM)


@given(number=st.integers(0, 600))
def test_calls_of_x32_are_refused(number: int) -> None:
    program = seccomp.agent_filter("x86_64")
    x32 = number | 0x40000000
    assert run(program, x32, (), ARCHITECTURES["x86_64"]) == refused(errno.EPERM)


@given(family=st.integers(0, (1 << 64) - 1), kind=st.integers(0, 1 << 20))
def test_no_other_family_gets_through(family: int, kind: int) -> None:
    expected = family & 0xFFFFFFFF in {1, 2, 10, 16}
    assert (answer("x86_64", "socket", family, kind, 0) == ALLOW) == expected


def test_an_unknown_processor_has_no_filter() -> None:
    assert not seccomp.supported("riscv64")
    with pytest.raises(KeyError):
        seccomp.agent_filter("riscv64")


def test_labels_become_distances() -> None:
    steps = [
        Step(seccomp.LOAD, 0),
        Step(seccomp.JUMP_EQUAL, 7, yes="end"),
        Step(seccomp.RETURN, 1),
        Step(seccomp.RETURN, 2, label="end"),
    ]
    assert run(assemble(steps), 7) == 2
    assert run(assemble(steps), 8) == 1


def test_the_two_tables_name_the_same_calls() -> None:
    assert X86_64.keys() - AARCH64.keys() == {"ioperm", "iopl"}
    assert not AARCH64.keys() - X86_64.keys()
