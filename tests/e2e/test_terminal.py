"""The agent keeps its terminal, and whoever started the firewall gets it back."""

import os
import pty
import re
import select
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Workplace
from tests.waiting import PATIENCE

POLICY = "version: 1\nname: t\nextends: [base]\n"


class Terminal:
    """An interactive bash on a terminal of its own."""

    def __init__(self, workplace: Workplace) -> None:
        self._pid, self._handle = pty.fork()
        if self._pid == 0:
            os.chdir(workplace.work)
            environment = {**workplace.environment, "PS1": "prompt> "}
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self.shown = ""
        self.expect("prompt> ")

    def type(self, text: str) -> None:
        os.write(self._handle, text.encode())

    def expect(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Wait until the pattern is shown, and forget all up to its end."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self.shown)):
            left = until - time.monotonic()
            assert left > 0, f"{pattern!r} was not shown: {self.shown!r}"
            if select.select([self._handle], [], [], left)[0]:
                self.shown += os.read(self._handle, 65536).decode(errors="replace")
        self.shown = self.shown[found.end() :]
        return found[0]

    def close(self) -> None:
        os.close(self._handle)
        os.waitpid(self._pid, 0)


@pytest.fixture
def terminal(workplace: Workplace) -> Iterator[Terminal]:
    made = Terminal(workplace)
    yield made
    made.close()


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
    terminal.type(_run(workplace, policy, "echo be''fore; read line; echo got $line"))
    terminal.expect("before")
    time.sleep(0.3)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect("prompt> ")
    terminal.type("fg\n")
    time.sleep(0.5)
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
    terminal.type("sleep 60\n")
    time.sleep(0.5)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("jobs; kill %1; exit 5\n")
    terminal.expect("sleep 60")
    terminal.expect("prompt> ")
    terminal.type("exit 5\n")
    terminal.expect("prompt> ")
