"""The policy in force belongs to the person who wrote it, not to the agent that it confines."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from firewall.sandbox.procfs import family
from tests.e2e.conftest import TELLS, Workplace, load_again, needs
from tests.waiting import PATIENCE, eventually

POLICY = "version: 1\nname: t\nextends: [base]\n"
RULE = "network: {rules: [{name: added, allow: http, hosts: [added.invalid]}]}\n"
ASK = "curl -s -o /dev/null -w '%{http_code}\\n' http://added.invalid/"
TAMPER = """
echo tampered >> {path}
mv {path} {path}.old
rm -f {path}
cp {path} {path}.new && mv -f {path}.new {path}
echo tampered > {path}
"""
USERS = [None, "root"] if os.geteuid() == 0 else [None]
"""As whom the agent tries: as nobody, and as the owner of the files."""


def _beside(workplace: Workplace) -> Path:
    """A policy in the agent's own working directory."""
    path = workplace.work / "policy.yaml"
    path.write_text(POLICY)
    path.chmod(0o666)
    return path


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("beside", [True, False], ids=["where it works", "elsewhere"])
def test_the_agent_cannot_change_its_policy(
    workplace: Workplace, beside: bool, user: str | None
) -> None:
    path = _beside(workplace) if beside else workplace.policy(POLICY)
    result = workplace.shell(path, TAMPER.replace("{path}", str(path)) + "echo done", user=user)
    assert result.out.endswith("done\n")
    assert path.read_text() == POLICY


@pytest.mark.parametrize("user", USERS)
def test_the_agent_cannot_put_another_folder_in_its_place(
    workplace: Workplace, user: str | None
) -> None:
    path = workplace.policy(POLICY)
    folder = path.parent
    swap = f"mv {folder} {folder}.old && mkdir {folder} && echo '{POLICY}{RULE}' > {path}"
    process = workplace.start(path, f"{TELLS}{swap}; echo did; read; {ASK}", "did", user)
    load_again(process)
    assert process.communicate("\n", timeout=PATIENCE)[0] != "502\n", (
        "the agent's rule is not taken"
    )
    assert workplace.policies() == 0


SCRIPT = f"{ASK}; read; {ASK}"


@needs("curl")
def test_a_changed_policy_takes_force_during_a_run(workplace: Workplace) -> None:
    policy = workplace.policy(POLICY)
    process = workplace.start(policy, SCRIPT, "403")
    policy.write_text(POLICY + RULE)
    eventually(workplace.policies)
    assert process.communicate("\n", timeout=PATIENCE)[0] == "502\n", "allowed, and nowhere to go"


@needs("curl")
def test_a_policy_where_the_agent_works_is_loaded_again_only_when_asked(
    workplace: Workplace,
) -> None:
    policy = _beside(workplace)
    process = workplace.start(policy, f"{ASK}; read; {ASK}; read; {ASK}", "403")
    assert process.stdin is not None
    assert process.stdout is not None
    policy.write_text(POLICY + RULE)
    for name in ("first", "second"):
        _wait_for_housekeeping(workplace, process, name)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "403\n"
    process.send_signal(signal.SIGHUP)
    eventually(workplace.policies)
    assert process.communicate("\n", timeout=PATIENCE)[0] == "502\n"


def _wait_for_housekeeping(workplace: Workplace, process: subprocess.Popen[str], name: str) -> None:
    """Return when the firewall has hidden a socket, which it does as often as it looks at files."""
    path = str(workplace.folder / name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        eventually(lambda: any(path in _mounts(pid) for pid in family(process.pid)))


def _mounts(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return ""
