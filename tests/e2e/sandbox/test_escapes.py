"""Each road out of the sandbox is closed; where one is open outside, a control shows that."""

import os
import platform
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firewall.sandbox import Sandbox
from firewall.sandbox.linux import landlock_version
from tests.e2e.sandbox.inside import PYTHON, USER, Inside
from tests.waiting import eventually

LIBC = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(result):
    return "worked" if result >= 0 else errno.errorcode[ctypes.get_errno()]
"""
NEWNS, NEWUSER, NEWPID, NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000


def own(flags: int) -> str:
    """Code that makes namespaces of the agent's own, in which it has every capability."""
    return (
        LIBC
        + f"""
uid, gid = os.getuid(), os.getgid()
assert libc.unshare({flags}) == 0, os.strerror(ctypes.get_errno())
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {{uid}} 1"), ("gid_map", f"0 {{gid}} 1")):
    open(f"/proc/self/{{name}}", "w").write(text)
"""
    )


OWN_NAMESPACE = own(NEWUSER | NEWNS | NEWNET)


@pytest.fixture
def host_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process outside, of the agent's own user, with a secret in its environment."""
    user: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []}
    more = user if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "60"], env={"SECRET": "of-the-host"}, **more) as process:
        yield process
        process.kill()


def test_host_processes_are_invisible(
    inside: Inside, host_process: subprocess.Popen[bytes]
) -> None:
    code = """
import glob
found = []
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        found.append(open(path, "rb").read())
    except OSError:
        pass  # it has ended meanwhile
print(len(found), b"sleep\\x0060\\x00" in found)
"""
    assert inside.outside(code).stdout.endswith("True\n")
    assert inside.python(code).output == "2 False\n"


def test_environments_outside_cannot_be_read(
    inside: Inside, host_process: subprocess.Popen[bytes]
) -> None:
    code = """
import glob
secret = False
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/task/*/environ"):
    try:
        secret = secret or b"SECRET=of-the-host" in open(path, "rb").read()
    except OSError as error:
        print(path, error.strerror)
print(secret)
"""
    assert inside.outside(code).stdout.endswith("True\n")
    result = inside.python(code)
    assert "/proc/1/environ Permission denied" in result.output
    assert result.output.endswith("False\n")


def test_the_broker_keeps_its_limits(inside: Inside) -> None:
    """Process 1 makes the sandbox's sockets, and belongs to the agent's own user."""
    code = """
import resource
files = resource.RLIMIT_NOFILE
print(resource.prlimit(1, files)[0] > 4)
try:
    resource.prlimit(1, files, (4, 4))
except PermissionError as error:
    print(error.strerror)
resource.setrlimit(files, (64, 64))
print(resource.getrlimit(files))
"""
    assert inside.python(code).output == "True\nOperation not permitted\n(64, 64)\n"


@pytest.mark.parametrize("request_name", ["attach", "kill", "pidfd"])
def test_host_processes_cannot_be_touched(
    inside: Inside, host_process: subprocess.Popen[bytes], request_name: str
) -> None:
    pid = host_process.pid
    attempt = {
        "attach": f"libc.ptrace(16, {pid}, 0, 0)",
        "kill": f"libc.kill({pid}, 18)",
        "pidfd": f"libc.syscall(434, {pid}, 0)",
    }[request_name]
    code = LIBC + f"print(call({attempt}))"
    assert inside.outside(code).stdout == "worked\n"
    assert inside.python(code).output == "ESRCH\n"
    assert host_process.poll() is None


@pytest.mark.skipif(landlock_version() < 6, reason="this Landlock cannot confine signals")
def test_the_firewall_in_the_same_process_group_cannot_be_signalled(inside: Inside) -> None:
    """kill(0) reaches a process group across PID namespaces."""
    number = int(signal.SIGUSR1)
    code = f"""
import os, signal
signal.signal({number}, lambda *_: print("mine"))
os.kill(0, {number})
"""

    def act() -> Any:
        told: list[int] = []
        os.setpgid(0, 0)
        signal.signal(signal.SIGUSR1, lambda number, _: told.append(number))
        with inside.running(code) as sandbox:
            eventually(lambda: sandbox.poll() is not None)
            return [sandbox.poll(), told]

    assert inside.firewall(act) == [0, []]


@pytest.mark.parametrize("kind", ["net", "mnt", "pid", "user", "ipc", "uts", "cgroup"])
def test_namespaces_cannot_be_entered(inside: Inside, kind: str) -> None:
    """Neither those of the sandbox's first process nor its own, to gain what it has there."""
    code = (
        LIBC
        + f"""
try:
    handle = os.open("/proc/1/ns/{kind}", os.O_RDONLY)
    print("opened", call(libc.setns(handle, 0)))
except PermissionError:
    print("unreadable")
handle = os.open("/proc/self/ns/{kind}", os.O_RDONLY)
print(call(libc.setns(handle, 0)))
"""
    )
    lines = inside.python(code).output.split()
    assert lines[0] == "unreadable"
    assert lines[1] in ("EPERM", "EINVAL")


def test_no_namespace_of_the_host_can_be_opened(inside: Inside) -> None:
    """Every namespace that can be seen is one of the sandbox's."""
    code = """
import glob, os
print(*sorted({os.stat(path).st_ino for path in glob.glob("/proc/[0-9]*/ns/net")
    if os.access(path, os.R_OK)}))
"""

    def serve(sandbox: Sandbox) -> int:
        return sandbox.namespace

    result = inside.python(code, serve=serve)
    assert result.output == f"{result.served}\n"
    assert result.served != Path("/proc/self/ns/net").stat().st_ino


def test_a_network_of_its_own_leads_nowhere(inside: Inside) -> None:
    """Browsers confine their pages so; it must work, and be no way out or back."""
    code = f"""
{own(NEWUSER)}
sandbox = os.open("/proc/self/ns/net", os.O_RDONLY)
print(call(libc.unshare({NEWNET | NEWPID})), [name for _, name in socket.if_nameindex()])
for family, host in ((socket.AF_INET, "203.0.113.1"), (socket.AF_INET6, "2001:db8::1")):
    try:
        socket.socket(family).connect((host, 443))
        print("connected")
    except OSError as error:
        print(errno.errorcode[error.errno])
print(call(libc.setns(sandbox, 0)))
"""
    made, *connects, back = inside.python(code).output.splitlines()
    assert (made, back) == ("worked ['lo']", "EPERM")
    assert set(connects) <= {"ENETUNREACH", "EADDRNOTAVAIL"}
    assert len(connects) == 2


@pytest.mark.parametrize("file", ["mem", "maps", "root", "cwd", "fd", "environ", "exe"])
def test_the_broker_keeps_its_memory_and_files_to_itself(inside: Inside, file: str) -> None:
    code = f"""
import os
for act in (os.listdir, lambda path: open(path, "rb").read(1), os.readlink):
    try:
        act("/proc/1/{file}")
        print("open")
    except OSError as error:
        print(error.strerror)
"""
    lines = inside.python(code).output.splitlines()
    assert "Permission denied" in lines
    assert "open" not in lines


@pytest.mark.parametrize(
    "attempt",
    [
        "libc.ptrace(16, 1, 0, 0)",
        "libc.syscall(438, libc.syscall(434, 1, 0), 3, 0)",
        "libc.ptrace(0x4206, 1, 0, 0)",
    ],
)
@pytest.mark.parametrize("prelude", [LIBC, OWN_NAMESPACE], ids=["plain", "own-namespace"])
def test_the_broker_cannot_be_touched(inside: Inside, attempt: str, prelude: str) -> None:
    code = prelude + f"print(call({attempt}))\nprint('alive')"
    assert inside.python(code).output == "EPERM\nalive\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGINT])
def test_the_broker_survives_signals(inside: Inside, number: int) -> None:
    code = LIBC + f"call(libc.kill(1, {int(number)}))\nimport time; time.sleep(0.1); print('alive')"
    result = inside.python(code)
    assert (result.status, result.output) == (0, "alive\n")


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("AF_VSOCK", "SOCK_STREAM"),
        ("AF_PACKET", "SOCK_RAW"),
        ("AF_ALG", "SOCK_SEQPACKET"),
        ("AF_BLUETOOTH", "SOCK_RAW"),
        ("AF_CAN", "SOCK_RAW"),
        ("AF_TIPC", "SOCK_STREAM"),
        ("AF_RDS", "SOCK_SEQPACKET"),
        ("AF_QIPCRTR", "SOCK_DGRAM"),
    ],
)
def test_other_socket_families_do_not_exist(inside: Inside, family: str, kind: str) -> None:
    code = (
        LIBC
        + f"""
try:
    socket.socket(socket.{family}, socket.{kind})
    print("made")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    )
    assert inside.python(code).output == "EAFNOSUPPORT\n"
    pair = LIBC + "print(call(libc.socketpair(30, 1, 0, (ctypes.c_int * 2)())))"
    assert inside.python(pair).output == "EAFNOSUPPORT\n"


@pytest.mark.parametrize(
    ("number", "name"), [(425, "io_uring_setup"), (426, "io_uring_enter"), (427, "register")]
)
def test_io_uring_does_not_exist(inside: Inside, number: int, name: str) -> None:
    """It makes sockets past the filter."""
    code = LIBC + f"print(call(libc.syscall({number}, 1, (ctypes.c_char * 120)(), 0, 0)))"
    assert inside.outside(code).stdout != "ENOSYS\n", name
    assert inside.python(code).output == "ENOSYS\n"


THIRTY_TWO_BIT = r"""
#include <stdio.h>
int main(void) {
    long result;
    /* socket(AF_VSOCK, SOCK_STREAM, 0) by i386's number 359 */
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(359L), "b"(40L), "c"(1L), "d"(0L) : "memory");
    printf("%ld\n", (long)(int)result);
    /* and getpid() by i386's number 20, which every kernel that has these calls answers */
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    printf("%ld\n", (long)(int)result);
    return 0;
}
"""
X32 = r"""
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>
int main(void) {
    long result = syscall(0x40000000 | 41, 40, 1, 0);
    printf("%d\n", result < 0 ? errno : 0);
    return 0;
}
"""


def build(source: str, directory: Path) -> str:
    if platform.machine() != "x86_64":
        pytest.skip("only x86_64 has these calls")
    if not shutil.which("gcc"):
        pytest.skip("gcc is needed to make this call")
    (directory / "program.c").write_text(source)
    program = directory / "program"
    subprocess.run(["gcc", "-O0", "-o", program, directory / "program.c"], check=True)
    return str(program)


def test_calls_of_32_bit_programs_are_refused(inside: Inside) -> None:
    program = build(THIRTY_TWO_BIT, inside.directory)
    outside = subprocess.run([program], capture_output=True, text=True, check=False)
    if outside.returncode < 0 or outside.stdout.splitlines()[1] == "-38":
        pytest.skip("this kernel has no 32-bit calls")
    assert int(outside.stdout.splitlines()[1]) > 0
    assert inside.run(program).output == "-1\n-1\n"


def test_calls_of_x32_are_refused(inside: Inside) -> None:
    assert inside.run(build(X32, inside.directory)).output == "1\n"


@pytest.mark.parametrize(
    "attempt",
    [
        "keyctl(250, 0, -3, 0)",
        "add_key(248, b'user', b'x', b'y', 1, -3)",
        "request_key(249, b'user', b'x', 0, -3)",
        "bpf(321, 0, 0, 0)",
        "perf_event_open(298, 0, 0, 0, 0, 0)",
        "userfaultfd(323, 1)",
        "open_by_handle_at(304, 0, 0, 0)",
        "init_module(175, 0, 0, 0)",
        "kexec_load(246, 0, 0, 0, 0)",
    ],
)
def test_interfaces_of_the_kernel_are_refused(inside: Inside, attempt: str) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    arguments = attempt.partition("(")[2]
    code = LIBC + f"print(call(libc.syscall({arguments}))"
    assert inside.python(code).output == "EPERM\n"


def test_inherited_descriptors_are_closed(inside: Inside) -> None:
    code = "import os; print(*sorted(int(name) for name in os.listdir('/proc/self/fd'))[:-1])"
    assert PYTHON
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 77, inheritable=True)
        directory = os.open("/", os.O_RDONLY)
        os.set_inheritable(directory, True)
        try:
            assert inside.python(code).output == "0 1 2\n"
        finally:
            os.close(77)
            os.close(directory)


def test_a_setuid_program_gains_nothing(inside: Inside) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a program setuid root")
    program = inside.directory / "id"
    shutil.copy(shutil.which("id", path="/usr/bin:/bin") or "", program)
    program.chmod(0o6755)
    control = subprocess.run([program, "-u"], capture_output=True, text=True, user=USER, check=True)
    assert control.stdout == "0\n", "the file system allows no setuid programs: nothing is tested"
    assert inside.run(str(program), "-u").output == f"{USER}\n"
    assert inside.run(str(program), "-g").output == f"{USER}\n"
    own = f"import os; {OWN_NAMESPACE}\nos.execv('{program}', ['id', '-u'])"
    assert inside.python(own).output == "0\n", "root of its own namespace, which is user 54321"


def test_the_agent_has_no_privilege(inside: Inside) -> None:
    code = "print(*(l for l in open('/proc/self/status') if l[:3] in ('Cap', 'NoN', 'Sec')))"
    fields = dict(line.split(":\t") for line in inside.python(code).output.splitlines() if line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    assert {values[f"Cap{each}"] for each in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")


def test_root_becomes_the_user_and_loses_its_groups(inside: Inside) -> None:
    code = "import os; print(os.getresuid(), os.getresgid(), os.getgroups())"
    who = (USER, USER, USER)
    groups = [] if os.geteuid() == 0 else os.getgroups()
    assert inside.python(code).output == f"{who} {who} {groups}\n"


def test_root_cannot_be_regained(inside: Inside) -> None:
    code = LIBC + "print(call(libc.setuid(0)), call(libc.setgid(0)), call(libc.setgroups(0, 0)))"
    assert inside.python(code).output == "EINVAL EINVAL EPERM\n"


@pytest.mark.parametrize("control", ["0x5412", "0x541C", "0x100005412"])
def test_nothing_can_be_typed_into_the_terminal(inside: Inside, control: str) -> None:
    code = (
        LIBC
        + f"""
import pty
_, terminal = pty.openpty()
print(call(libc.syscall(16, terminal, ctypes.c_ulong({control}), b"x")))
"""
    )
    if platform.machine() != "x86_64":
        pytest.skip("the number is that of x86_64")
    assert inside.python(code).output == "EPERM\n"


ODD_DEVICES = ("kmsg", "kvm", "mem", "net/tun", "vsock", "vhost-vsock", "uinput", "infiniband")


def test_only_harmless_devices_are_there(inside: Inside) -> None:
    code = "import os; print(*sorted(os.listdir('/dev')))"
    found = set(inside.python(code).output.split())
    expected = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd"}
    assert expected <= found
    assert not {name.split("/")[0] for name in ODD_DEVICES} & found


def test_devices_work(inside: Inside) -> None:
    code = """
import os, pty
print(len(os.urandom(4)), len(open("/dev/urandom", "rb").read(4)), open("/dev/zero", "rb").read(1))
open("/dev/null", "w").write("x")
main, other = pty.openpty()
os.write(main, b"typed\\n")
print(os.read(other, 10), os.ttyname(other))
"""
    assert inside.python(code).output == "4 4 b'\\x00'\nb'typed\\n' /dev/pts/0\n"


def test_other_terminals_are_invisible(inside: Inside) -> None:
    main, other = os.openpty()
    os.fchmod(other, 0o666)
    try:
        assert inside.python("import os; print(os.listdir('/dev/pts'))").output == "['ptmx']\n"
    finally:
        os.close(main)
        os.close(other)


def test_shared_memory_and_queues_are_its_own(inside: Inside) -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("this machine has no /dev/shm")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        os.chmod(file.name, 0o666)
        code = "import os; print(os.listdir('/dev/shm'), os.listdir('/dev/mqueue'))"
        assert inside.python(code).output == "[] []\n"


def test_cgroups_and_settings_cannot_be_written(inside: Inside) -> None:
    code = LIBC + (
        "print(call(libc.open(b'/sys/kernel/uevent_helper', 1)));"
        "print(*{bool(os.statvfs(p).f_flag & 1) for p in ('/sys', '/sys/fs/cgroup')})"
    )
    output = inside.python(code).output.split()
    assert output[0] in ("EROFS", "EACCES", "ENOENT")
    assert output[1:] == ["True"]
