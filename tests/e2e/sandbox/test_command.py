"""`firewall run` from where people run it: relative paths, links, a sandbox inside a sandbox."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import FIREWALL, TELLS, Workplace, load_again
from tests.waiting import PATIENCE

POLICY = "version: 1\nname: t\nextends: [base]\n"
OBSERVE = POLICY + "mode: observe\n"


def _run(workplace: Workplace, policy: str, *agent: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FIREWALL, "run", "--policy", policy, "--", *agent],
        cwd=workplace.work,
        env=workplace.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("folder", ["", "policies/"])
def test_a_policy_may_be_named_by_a_relative_path(workplace: Workplace, folder: str) -> None:
    (workplace.work / folder).mkdir(exist_ok=True)
    path = workplace.work / folder / "policy.yaml"
    path.write_text(POLICY)
    done = _run(workplace, f"{folder}policy.yaml", "sh", "-c", f"echo x >> {path}; echo ran")
    assert done.stdout == "ran\n", done.stderr
    assert path.read_text() == POLICY


def test_a_link_that_the_agent_could_turn_is_refused(workplace: Workplace) -> None:
    (workplace.work / "link.yaml").symlink_to(workplace.policy(POLICY))
    done = _run(workplace, "link.yaml", "echo", "ran")
    assert (done.returncode, done.stdout) == (125, "")
    assert "link.yaml is a symbolic link in a folder where the agent works" in done.stderr


def test_a_preset_stays_the_preset(workplace: Workplace) -> None:
    """A file of its name that the agent makes is not what is loaded again."""
    script = f"{TELLS}echo '{OBSERVE}' > locked-down; echo made; read; echo over"
    with subprocess.Popen(
        [*FIREWALL, "run", "--policy", "locked-down", "--", "bash", "-c", script],
        cwd=workplace.work,
        env=workplace.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        load_again(process)
        assert process.communicate("\n", timeout=PATIENCE)[0] == "over\n"
    assert workplace.work.joinpath("locked-down").read_text() == OBSERVE + "\n"
    assert workplace.policies() == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="nobody may not reach the firewall's own Python")
def test_a_sandbox_inside_another_says_why_not(workplace: Workplace) -> None:
    path = str(workplace.policy(POLICY))
    done = _run(workplace, path, *FIREWALL, "run", "--policy", path, "--", "true")
    assert done.returncode == 125
    assert "this is the inside of a sandbox" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's agent becomes another user")
def test_roots_agent_has_a_home_that_it_can_use(workplace: Workplace) -> None:
    script = "cd && touch file && mkdir -p .cache/x && echo $PWD $USER; ls -d $HOME"
    result = workplace.shell(workplace.policy(POLICY), script)
    assert result.out == "/run/agent-home nobody\n/run/agent-home\n"
    assert not Path("/run/agent-home").exists(), "it is gone with the sandbox"
