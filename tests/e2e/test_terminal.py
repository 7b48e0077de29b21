"""The agent keeps its terminal, and whoever started the firewall gets it back."""

import os
import pty
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Workplace
from tests.e2e.terminal import Terminal

POLICY = "version: 1\nname: t\nextends: [base]\n"


@pytest.fixture
def terminal(workplace: Workplace) -> Iterator[Terminal]:
    """With an interactive bash in it."""
    pid, handle = pty.fork()
    if pid == 0:
        os.chdir(workplace.work)
        environment = {**workplace.environment, "PS1": "prompt> "}
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
    made = Terminal(handle)
    made.expect("prompt> ")
    yield made
    os.close(handle)
    os.waitpid(pid, 0)


@pytest.fixture
def policy(workplace: Workplace) -> Path:
    return workplace.policy(POLICY)


def _run(workplace: Workplace, policy: Path, script: str) -> str:
    return shlex.join(workplace.command(policy, "bash", "-c", script)) + "\n"


def test_an_agent_that_stops_itself_hands_the_terminal_back_until_continued(
    workplace: Workplace, policy: Path, terminal: Terminal
) -> None:
    terminal.type(_run(workplace, policy, "echo be''fore; kill -STOP $$; echo af''ter"))
    terminal.expect("before")
    terminal.expect("Stopped")
    terminal.expect("prompt> ")
    terminal.type("echo mine $((40 + 2))\n")
    terminal.expect("mine 42")
    terminal.type("fg\n")
    terminal.expect("after")
    terminal.expect("prompt> ")
    terminal.type("echo status $?\n")
    terminal.expect("status 0")


def test_the_stop_key_and_fg(workplace: Workplace, policy: Path, terminal: Terminal) -> None:
    script = "trap 'echo con''tinued' CONT; echo be''fore; read line; echo got $line"
    terminal.type(_run(workplace, policy, script))
    terminal.expect("before")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect("prompt> ")
    terminal.type("fg\n")
    terminal.expect("continued")
    terminal.type("words\n")
    terminal.expect("got words")
    terminal.expect("prompt> ")


def test_the_interrupt_key_reaches_the_agent_alone(
    workplace: Workplace, policy: Path, terminal: Terminal
) -> None:
    script = "trap 'echo cau''ght; exit 3' INT; echo be''fore; while :; do sleep 0.1; done"
    terminal.type(_run(workplace, policy, script))
    terminal.expect("before")
    terminal.type("\x03")
    terminal.expect("caught")
    terminal.expect("prompt> ")
    terminal.type("echo status $?\n")
    terminal.expect("status 3")


def test_a_shell_inside_has_job_control(
    workplace: Workplace, policy: Path, terminal: Terminal
) -> None:
    terminal.type(shlex.join(workplace.command(policy, "bash", "--norc", "-i")) + "\n")
    terminal.expect("prompt> ")
    terminal.type("sh -c 'echo in''side; exec sleep 300'\n")
    terminal.expect("inside")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect("prompt> ")
    terminal.type("jobs; kill -KILL %1; while kill -0 %1 2>&-; do :; done\n")
    terminal.expect("Stopped.*sleep 300")
    terminal.expect("Killed")
    terminal.expect("prompt> ")
    terminal.type("exit 5\n")
    terminal.expect("prompt> ")
    terminal.type("echo status $?\n")
    terminal.expect("status 5")
