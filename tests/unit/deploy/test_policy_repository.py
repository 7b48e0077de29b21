"""The worked example of a policy repository does what its README says, with real git and hooks."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from firewall.audit import AuditLog
from firewall.notes import SigningKey

DEPLOY = Path(__file__).parents[3] / "deploy"
EXAMPLE = DEPLOY / "policy-repository"
COMMAND = "firewall policy ci"
README = (EXAMPLE / "README.md").read_text()
COMMANDS = re.findall(r"^    (firewall policy .*|git .*)$", README, re.MULTILINE)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the example, committed, with its hook installed."""
    folder = tmp_path / "policies"
    shutil.copytree(EXAMPLE, folder)
    run(folder, "git init --quiet --initial-branch=main . && git add --all")
    run(folder, "git commit --quiet --message=begin && pre-commit install")
    return folder


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A line of shell with the project's own programs, and none of this machine's git settings."""
    done = attempt(folder, command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def attempt(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "a person"),
        **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "person@example.com"),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "HOME": str(folder.parent),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(folder.parent / "pre-commit"),
        "SIGNING_KEY_FILE": str(folder.parent / "key"),
        "AUDIT_LOG": str(folder.parent / "audit"),
    }
    return subprocess.run(  # noqa: PLW1510 (the status is the result)
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_every_command_of_its_guide_works(repository: Path) -> None:
    (repository.parent / "key").write_text(SigningKey.generate("test").text())
    AuditLog(repository.parent / "audit", "test").close()
    run(repository, "git switch --quiet --create change")
    told = [run(repository, each).stdout for each in COMMANDS]
    assert [each.split()[0:3:2] for each in COMMANDS] == [
        ["firewall", "ci"], ["firewall", "explain"], ["git", "add"], ["firewall", "diff"],
        ["firewall", "replay"], ["firewall", "bundle"],
    ]  # fmt: skip
    assert told[1].startswith("deny POST https://git.example.com/")
    assert (repository / "coding.bundle").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("base.yaml", "deny: any", "denny: any", "unknown key 'denny'"),
        ("base.yaml", "lists/mining.txt", "lists/none.txt", "there is no file"),
        ("lists/mining.txt", "pool.example.net", "pool.example.org", "3 of 4 cases pass"),
        (
            "teams/coding.test.yaml",
            'models.example.com/v1/messages", expect: allow, rule: model-api',
            'models.example.org/v1/messages", expect: deny',
            "no case exercises model-api",
        ),
    ],
)
def test_the_hook_refuses(repository: Path, file: str, old: str, new: str, why: str) -> None:
    text = (repository / file).read_text()
    assert old in text
    (repository / file).write_text(text.replace(old, new))
    done = attempt(repository, "git commit --quiet --all --message=change")
    assert done.returncode == 1
    assert why in done.stdout + done.stderr


def test_the_hook_lets_pass_what_is_right(repository: Path) -> None:
    with (repository / "base.yaml").open("a") as file:
        file.write("# a remark\n")
    run(repository, "git commit --quiet --all --message=change")


def test_hook_and_ci_run_the_same_command() -> None:
    hooks = yaml.safe_load((EXAMPLE / ".pre-commit-config.yaml").read_text())
    action = yaml.safe_load((DEPLOY / "ci" / "action.yml").read_text())
    gitlab = yaml.safe_load((DEPLOY / "ci" / "gitlab.yml").read_text())
    (hook,) = hooks["repos"][0]["hooks"]
    (step,) = action["runs"]["steps"]
    assert hook["entry"] == COMMAND
    assert f'{COMMAND} "$FOLDER"' in step["run"]
    assert set(step["env"]) == {"FOLDER", "AT_LEAST"}
    assert f'{COMMAND} "$POLICIES"' in gitlab["firewall-policies"]["script"][-1]
    workflow = yaml.safe_load((EXAMPLE / ".github" / "workflows" / "policies.yaml").read_text())
    used = workflow["jobs"]["policies"]["steps"][-1]
    assert used["uses"].partition("/")[2].startswith("agent-firewall/deploy/ci@")
    assert set(used["with"]) <= set(action["inputs"])
