"""Real agents with the hook installed: what the firewall denies, they do not run.

Each test wants its agent's program, named by an environment variable such as CLAUDE_CODE, and is
skipped without it. The model is ours, on loopback.
"""

import os
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from firewall.toolcalls.places import VARIABLE
from tests.e2e.models import COMMAND, Model, model
from tests.unit.toolcalls.serving import ALLOW, DENY, Court, served

FIREWALL = str(Path(sysconfig.get_path("scripts")) / "firewall")
AGENTS = ("claude-code", "codex", "gemini")
PROMPT = "Make the file."
REFUSAL = "Blocked by the firewall"


def program(agent: str) -> str:
    name = agent.upper().replace("-", "_")
    found = os.environ.get(name)
    if not found:
        pytest.skip(f"${name} names no {agent}")
    return found


class Stage:
    """A project with the hook installed, a home of its own, and the model."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.project = folder / "project"
        self.home = folder / "home"
        self.project.mkdir()
        self.home.mkdir()
        self.model = model
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            VARIABLE: str(folder / "tools.sock"),
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": "none",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "OPENAI_API_KEY": "none",
            "GOOGLE_GEMINI_BASE_URL": model.url,
            "GEMINI_API_KEY": "none",
        }

    def run(self, agent: str) -> str:
        """The agent's whole turn; what it printed."""
        self._call(FIREWALL, "hook", "install", agent, "--user")
        return self._call(program(agent), *self._arguments(agent))

    def _arguments(self, agent: str) -> tuple[str, ...]:
        if agent == "claude-code":
            return ("-p", PROMPT, "--allowedTools", "Bash")
        if agent == "gemini":
            return ("--skip-trust", "--yolo", "-p", PROMPT)
        provider = f'{{name="x", base_url="{self.model.url}/v1", wire_api="responses"}}'
        flags = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
        trust = "--dangerously-bypass-hook-trust"
        settings = ("-c", 'model_provider="x"', "-c", f"model_providers.x={provider}")
        return ("exec", *flags, trust, *settings, PROMPT)

    def _call(self, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        return done.stdout

    @property
    def made(self) -> bool:
        return (self.project / COMMAND.split()[1]).exists()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with model() as served_model:
        yield Stage(tmp_path, served_model)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_denied_command_is_not_run_and_the_model_is_told_why(agent: str, stage: Stage) -> None:
    court = Court(DENY)
    with served(court.service, Path(stage.environment[VARIABLE])):
        said = stage.run(agent)
    assert not stage.made
    assert stage.model.was_told("nc is denied"), said
    assert court.call.commands[0].words == tuple(COMMAND.split())


@pytest.mark.parametrize("agent", AGENTS)
def test_an_allowed_command_is_run(agent: str, stage: Stage) -> None:
    with served(Court(ALLOW).service, Path(stage.environment[VARIABLE])):
        said = stage.run(agent)
    assert stage.made, said
    assert not stage.model.was_told(REFUSAL)


@pytest.mark.parametrize("agent", AGENTS)
def test_no_command_is_run_without_the_service(agent: str, stage: Stage) -> None:
    said = stage.run(agent)
    assert not stage.made
    assert stage.model.was_told(REFUSAL), said
