"""From launch to end: what the agent keeps of its caller, and that nothing is left behind."""

import contextlib
import errno
import json
import os
import pty
import select
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firewall.sandbox import Sandbox, SandboxError
from firewall.sandbox.procfs import family, state
from tests.e2e.sandbox.inside import IS_ROOT, PYTHON, USER, FirewallError, Inside, start
from tests.e2e.terminal import Terminal
from tests.waiting import PATIENCE, eventually


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -TERM $$", 143),
        ("kill -SEGV $$", 139),
        ("kill -KILL $$", 137),
    ],
)
def test_the_exit_status_is_the_agents(inside: Inside, script: str, status: int) -> None:
    assert inside.run("sh", "-c", script).status == status


def test_a_program_that_is_not_there(inside: Inside) -> None:
    result = inside.run("no-such-program")
    assert (result.status, result.output) == (
        127,
        "firewall: no-such-program: command not found\n",
    )


def test_a_program_that_cannot_be_run(inside: Inside) -> None:
    (inside.directory / "text").write_text("x")
    result = inside.run("./text")
    assert (result.status, result.output) == (126, "firewall: ./text: Permission denied\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_passed_on(inside: Inside, number: signal.Signals) -> None:
    def serve(sandbox: Sandbox) -> None:
        eventually((inside.directory / "ready").exists)
        sandbox.signal(number)

    code = f"""
import signal, sys, time
signal.signal({int(number)}, lambda *_: sys.exit(42))
open("ready", "w")
while True:
    time.sleep(0.05)  # a signal just before it would only be seen when it ends
"""
    assert inside.python(code, serve=serve).status == 42


def test_signals_start_as_a_program_expects_them(inside: Inside) -> None:
    # Python itself would change them before it looks.
    result = inside.run("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
    assert [line.split()[1] for line in result.output.splitlines()] == ["0" * 16] * 2


def test_a_hang_up_that_was_ignored_stays_ignored(inside: Inside) -> None:
    def act() -> Any:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with inside.running(
            "import signal, sys; sys.exit(signal.getsignal(1) == signal.SIG_IGN)"
        ) as sandbox:
            return eventually(lambda: str(sandbox.poll() or ""))

    assert inside.firewall(act) == "1"


def test_directory_umask_and_environment_are_the_callers(inside: Inside) -> None:
    inside.environment |= {"OWN": "kept", "HTTPS_PROXY": "http://127.0.0.1:1", "DISPLAY": ":0"}
    code = """
import json, os
umask = os.umask(0)
print(json.dumps([os.getcwd(), umask, dict(os.environ)]))
"""
    before = os.umask(0o027)
    try:
        directory, umask, environment = inside.python(code).json()
    finally:
        os.umask(before)
    assert (directory, umask) == (str(inside.directory), 0o027)
    assert environment["OWN"] == "kept"
    assert environment["SSL_CERT_FILE"] == "/run/agent-firewall/ca-certificates.crt"
    assert not {"HTTPS_PROXY", "DISPLAY"} & set(environment)


def test_files_are_made_as_the_user(inside: Inside) -> None:
    inside.run("touch", "made")
    status = (inside.directory / "made").stat()
    expected = (USER, USER) if IS_ROOT else (os.getuid(), os.getgid())
    assert (status.st_uid, status.st_gid) == expected


def test_root_must_be_asked_for_by_name(inside: Inside) -> None:
    if not inside.root:
        pytest.skip("the firewall is not root")
    with pytest.raises(FirewallError, match="an agent must not run as root; name an unpriv"):
        inside.run("true", user=None)


def test_kept_root_has_no_capability_and_no_kernel_setting(inside: Inside) -> None:
    if not inside.root:
        pytest.skip("the firewall is not root")
    code = """
import errno, json, os
def attempt(act, *arguments):
    try:
        act(*arguments)
        return "worked"
    except OSError as error:
        return errno.errorcode[error.errno]
capabilities = [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapEff")]
print(json.dumps([os.getuid(), capabilities, attempt(os.chown, ".", 1, 1),
    attempt(os.open, "/proc/sys/kernel/panic", os.O_WRONLY),
    attempt(os.open, "/proc/sysrq-trigger", os.O_WRONLY)]))
"""
    user, capabilities, chown, setting, trigger = inside.python(
        code, user=None, keep_root=True
    ).json()
    assert (user, capabilities) == (0, ["0" * 16])
    assert (chown, setting) == ("EINVAL", "EROFS")
    assert trigger in ("EROFS", "ENOENT")


def test_only_root_chooses_the_user(inside: Inside) -> None:
    if inside.root:
        pytest.skip("the firewall is root")
    with pytest.raises(FirewallError, match="only root can run an agent as another user"):
        inside.run("true", user=(USER + 1, USER + 1))


def test_a_directory_that_the_user_cannot_enter(inside: Inside) -> None:
    if not IS_ROOT:
        pytest.skip("only root can make a directory that the user cannot enter")
    closed = inside.directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(FirewallError, match=r"user could not start in .*closed.*choose another"):
        inside.run("true", directory=str(closed))


def test_a_refused_step_names_itself(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "unshare", refuse)
    pattern = "the sandbox could not make its namespaces.*container"
    with pytest.raises(FirewallError, match=pattern):
        inside.run("true")


def test_a_capability_that_cannot_be_dropped_starts_nothing(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(execute_from: tuple[str, ...]) -> None:
        raise OSError(1, "no filter")

    monkeypatch.setattr("firewall.sandbox.privileges.renounce", fail)
    result = inside.run("touch", "started")
    assert (result.status, "nothing was started" in result.output) == (126, True)
    assert not (inside.directory / "started").exists()


def test_without_an_exec_gate_nothing_is_started(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy() -> int:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr("firewall.sandbox.execgate.notify.install", busy)
    result = inside.run("touch", "started")
    assert result.status == 126
    assert "a supervisor of system calls is there already" in result.output
    assert not (inside.directory / "started").exists()


def test_the_agent_waits_for_the_start(inside: Inside) -> None:
    def act() -> bool:
        sandbox = Sandbox.launch(inside.spec("touch", "started"))
        sandbox.open_udp(("203.0.113.1", 53), socket.AF_INET).close()  # it can do things already
        early = list(family(sandbox.pid))
        sandbox.close()
        sandbox.close()
        return early == []

    assert inside.firewall(act)
    assert not (inside.directory / "started").exists()


DAEMON = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        while True:
            time.sleep(0.05)
            open("alive", "w").write(str(time.time()))
print("done")
"""


type Lives = list[tuple[int, int]]
"""Processes by number and start, since numbers come again."""


def processes(sandbox: Sandbox) -> Lives:
    """All that a sandbox consists of: its keeper, its first process, and the agent's."""
    pids = [sandbox._keeper, sandbox.pid, *family(sandbox.pid)]
    return [(pid, state(pid)[1]) for pid in pids]


def alive(lives: Lives) -> list[int]:
    found = []
    for pid, started in lives:
        with contextlib.suppress(OSError):
            if state(pid)[1] == started:
                found.append(pid)
    return found


def inhabitants(network: int) -> list[int]:
    """The processes in a network namespace, by its inode."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{name}/ns/net").st_ino == network:
                found.append(int(name))
    return found


def _mounts() -> set[str]:
    return set(Path("/proc/self/mountinfo").read_text().splitlines())


def test_nothing_is_left_behind(inside: Inside) -> None:
    mounts = _mounts()
    handles = os.listdir("/proc/self/fd")
    beat = inside.directory / "alive"

    def act() -> Any:
        opened = len(os.listdir("/proc/self/fd"))
        with inside.running(DAEMON) as sandbox:
            eventually(lambda: sandbox.poll() == 0)
            beat.unlink(missing_ok=True)
            eventually(beat.exists)
            lives = processes(sandbox)
            # While its socket is open, no other network gets the number of this one.
            listener = sandbox.tcp.dup()
        left = [*alive(lives), *inhabitants(sandbox.namespace)]
        listener.close()
        return [len(lives), left, len(os.listdir("/proc/self/fd")) - opened]

    assert inside.firewall(act) == [5, [], 0]
    eventually(lambda: _mounts() <= mounts)
    assert os.listdir("/proc/self/fd") == handles


NETWORK_LOOP = """
import socket, time
while True:
    try:
        socket.create_connection(("203.0.113.1", 1), timeout=0.2)
        open("alive", "w").write("connected")
    except OSError:
        open("alive", "w").write("no network")
    time.sleep(0.02)
"""


def test_killing_the_firewall_kills_the_sandbox(inside: Inside) -> None:
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            inside.firewall(lambda: _run_until_killed(inside))
        os._exit(0)
    firewall, lives = json.loads(eventually(lambda: _text(inside.directory / "running")))
    assert len(lives) == 3
    os.kill(firewall, signal.SIGKILL)
    os.waitpid(pid, 0)
    eventually(lambda: not alive(lives))


def _run_until_killed(inside: Inside) -> None:
    with inside.running(NETWORK_LOOP) as sandbox:
        eventually(lambda: _text(inside.directory / "alive") == "connected")
        running = inside.directory / "running.new"
        running.write_text(json.dumps([os.getpid(), processes(sandbox)]))
        running.rename(inside.directory / "running")
        signal.pause()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_firewall_that_only_closes_its_channel_ends_the_sandbox_too(inside: Inside) -> None:
    def act() -> Any:
        with inside.running(NETWORK_LOOP) as sandbox:
            eventually(lambda: _text(inside.directory / "alive"))
            sandbox._requests.close()
            return eventually(sandbox.poll)

    assert inside.firewall(act) == 137


def test_the_death_of_the_first_process_is_news(inside: Inside) -> None:
    def act() -> Any:
        with inside.running(NETWORK_LOOP) as sandbox:
            os.kill(sandbox.pid, signal.SIGKILL)
            assert select.select([sandbox], [], [], PATIENCE)[0]
            return sandbox.poll()

    assert inside.firewall(act) == 137


def test_a_continued_agent_stands_still_no_more_before_it_is_news(inside: Inside) -> None:
    def act() -> Any:
        code = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP); signal.pause()"
        with inside.running(code) as sandbox:
            eventually(lambda: sandbox.poll() is None and sandbox.stopped)
            before = sandbox.stands_still()
            os.kill(next(iter(family(sandbox.pid))), signal.SIGCONT)
            return [before, sandbox.stopped, sandbox.stands_still()]

    assert inside.firewall(act) == [True, True, False]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    main, other = pty.openpty()
    yield main, other
    os.close(main)
    os.close(other)


def test_a_shell_keeps_its_terminal_and_its_jobs(inside: Inside, terminal: tuple[int, int]) -> None:
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    main, other = terminal

    def in_terminal() -> Any:
        os.setsid()
        for handle in range(3):
            os.dup2(other, handle)
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        inside.environment["PS1"] = "prompt> "
        sandbox = Sandbox.launch(inside.spec("bash", "--norc", "--noprofile", "-i"))
        start(sandbox)
        status = eventually(lambda: str(sandbox.poll() or ""))
        sandbox.close()
        return [status, os.tcgetpgrp(0) == os.getpgrp()]

    pid = os.fork()
    if pid == 0:
        answer = json.dumps(inside.firewall(in_terminal))
        (inside.directory / "answer").write_text(answer)
        os._exit(0)
    person = Terminal(main)
    assert "no job control" not in person.expect(r"(?s).*prompt> ")
    person.type("sh -c 'tty; exec sleep 300'\n")
    person.expect("/dev/.*\n")
    person.type("\x03")
    person.expect("prompt> ")
    person.type("sleep 300 &\n")
    person.expect("prompt> ")
    person.type("jobs; kill %1; exit 5\n")
    person.expect("Running")
    os.waitpid(pid, 0)
    assert json.loads(_text(inside.directory / "answer")) == ["5", True]


def test_processes_are_listed_parents_first(inside: Inside) -> None:
    def act() -> Any:
        code = (
            f'import os; os.system("sh -c \'{PYTHON} -c \\"import time; time.sleep(300)\\"; :\'")'
        )
        with inside.running(code) as sandbox:
            parents = eventually(lambda: _of_three(family(sandbox.pid)))
            found = [sandbox.pid, *parents]
            return [
                sandbox.pid not in parents,
                all(parents[pid] in found[: found.index(pid)] for pid in parents),
            ]

    assert inside.firewall(act) == [True, True]


def _of_three(family: dict[int, int]) -> dict[int, int]:
    return family if len(family) >= 3 else {}


def test_a_sandbox_without_a_program_is_refused(inside: Inside) -> None:
    with pytest.raises(SandboxError, match="no program to run"):
        Sandbox.launch(inside.spec())
