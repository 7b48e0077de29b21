"""Signals, exit statuses, and that nothing is left behind."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from firewall.audit import verify
from tests.e2e.conftest import FIREWALL, Workplace
from tests.waiting import PATIENCE, eventually

POLICY = "version: 1\nname: t\nextends: [base]\n"


@pytest.fixture
def policy(workplace: Workplace) -> Path:
    return workplace.policy(POLICY)


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, out


def _processes(mark: str) -> list[int]:
    """The processes whose command line, environment or folder carries a mark."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    return [pid for pid in pids if pid != os.getpid() and mark in _told(pid)]


def _told(pid: int) -> str:
    """What may be read of a process, its command line first."""
    told = ""
    with contextlib.suppress(OSError):
        told += Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        told += Path(f"/proc/{pid}/environ").read_text(errors="replace")
        told += os.readlink(f"/proc/{pid}/cwd")
    return told


def _named(name: str) -> list[int]:
    """The processes that go by a name."""
    return [pid for pid in _processes(name) if _told(pid).startswith(name)]


@pytest.fixture
def traces(workplace: Workplace) -> Iterator[None]:
    """Checks that a test leaves no process and no mount behind."""
    before = _mounts()
    yield
    eventually(lambda: not _processes(str(workplace.folder)))
    eventually(lambda: _mounts() <= before)


def _mounts() -> set[str]:
    return set(Path("/proc/self/mountinfo").read_text().splitlines())


@pytest.mark.parametrize(
    ("script", "status"), [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
@pytest.mark.usefixtures("traces")
def test_the_exit_status_is_the_agents(
    workplace: Workplace, policy: Path, script: str, status: int
) -> None:
    assert workplace.shell(policy, script).status == status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.usefixtures("traces")
def test_a_signal_reaches_the_agent(
    workplace: Workplace, policy: Path, number: signal.Signals
) -> None:
    script = f"trap 'echo caught; exit 9' {number.name}; echo ready; while :; do sleep 0.05; done"
    process = workplace.start(policy, script, "ready")
    process.send_signal(number)
    assert _end(process) == (9, "caught\n")


@pytest.mark.usefixtures("traces")
def test_an_agent_that_ignores_nothing_ends_by_the_signal(
    workplace: Workplace, policy: Path
) -> None:
    process = workplace.start(policy, "echo ready; exec sleep 300", "ready")
    process.send_signal(signal.SIGTERM)
    assert _end(process) == (143, "")


@pytest.mark.usefixtures("traces")
def test_what_the_agent_left_running_ends_with_it(workplace: Workplace, policy: Path) -> None:
    mark = f"exec -a {workplace.folder}-left sleep 300"
    process = workplace.start(policy, f"({mark}) & disown; echo ready; read; true", "ready")
    eventually(lambda: _named(f"{workplace.folder}-left"))
    assert _end(process)[0] == 0


@pytest.mark.usefixtures("traces")
def test_a_killed_firewall_takes_the_sandbox_along(workplace: Workplace, policy: Path) -> None:
    mark = f"exec -a {workplace.folder}-agent sleep 300"
    process = workplace.start(policy, f"(setsid bash -c '{mark}') & echo ready; sleep 300", "ready")
    eventually(lambda: _named(f"{workplace.folder}-agent"))
    process.kill()
    process.wait(PATIENCE)
    process.communicate()
    report = verify(workplace.log)
    assert report.status in ("intact", "torn")
    again = workplace.shell(policy, "true")
    assert again.status == 0, again.err
    assert verify(workplace.log).status == "intact"


def test_a_damaged_log_refuses_to_start(workplace: Workplace, policy: Path) -> None:
    assert workplace.shell(policy, "true").status == 0
    (segment,) = (workplace.log / "gate-0").glob("*.log")
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'"kind":"log.opened"', b'"kind":"log.0pened"', 1))
    again = workplace.shell(policy, "echo ran")
    assert again.status == 125
    assert again.out == ""
    assert str(segment) in again.err


def test_a_bad_policy_refuses_to_start_and_says_where(workplace: Workplace) -> None:
    policy = workplace.policy("version: 1\nname: t\nnetwrok: {}\n")
    result = workplace.shell(policy, "echo ran")
    assert (result.status, result.out) == (125, "")
    assert re.search(r"policy\.yaml:3: .*netwrok.*network", result.err)


def test_a_program_that_does_not_exist(workplace: Workplace, policy: Path) -> None:
    result = workplace.run(policy, "no-such-program")
    assert result.status == 127
    assert "no-such-program" in result.err


def test_two_firewalls_at_once_write_two_chains(workplace: Workplace, policy: Path) -> None:
    first = workplace.start(policy, "echo ready; exec sleep 300", "ready")
    second = workplace.start(policy, "echo ready", "ready")
    assert _end(second)[0] == 0
    first.terminate()
    assert _end(first)[0] == 143
    assert {each.name for each in workplace.log.iterdir()} >= {"gate-0", "gate-1"}
    assert verify(workplace.log).status == "intact"


def test_every_run_leaves_a_signed_log_and_tells_it_elsewhere(
    workplace: Workplace, policy: Path
) -> None:
    copy = workplace.folder / "copy"
    for _ in range(2):
        command = [*FIREWALL, "run", "-p", str(policy), "--checkpoints", str(copy), "--", "true"]
        subprocess.run(command, cwd=workplace.work, env=workplace.environment, check=True)
    command = [*FIREWALL, "audit", "verify", "--checkpoint", str(copy)]
    checked = subprocess.run(
        command, env=workplace.environment, check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "checkpoints: intact, 2, " in checked.stdout
    assert "signed by " in checked.stdout


def test_serve_ends_by_a_signal(workplace: Workplace, policy: Path) -> None:
    process = subprocess.Popen(
        [*FIREWALL, "serve", "--policy", str(policy), "--listen", "127.0.0.1:0"],
        env=workplace.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "proxy on 127.0.0.1:" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
