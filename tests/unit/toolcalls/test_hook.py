"""`firewall hook AGENT` as agents start it: a process of its own, stdin to exit status."""

import ast
import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.toolcalls import hook
from firewall.toolcalls.hook import AGENTS, read_answer
from firewall.toolcalls.places import START, VARIABLE
from tests.unit.toolcalls.dialects.events import EVENTS
from tests.unit.toolcalls.serving import ALLOW, ASK, DENY, Court, saying, served

HOOK = [sys.executable, "-m", "firewall.cli", "hook"]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "tools.sock"))
    return tmp_path / "tools.sock"


def run(agent: str, given: bytes) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*HOOK, agent], input=given, capture_output=True, check=False)


@pytest.mark.parametrize("agent", AGENTS)
def test_it_hands_the_call_over_and_the_answer_back(path: Path, agent: str) -> None:
    event = json.dumps(EVENTS[agent]).encode()
    with served((court := Court(DENY)).service, path):
        done = run(agent, event)
    assert court.call.commands[0].words == ("nc", "-l", "1")
    said, unsaid = done.stdout, done.stderr
    if agent == "openhands":
        said, unsaid = unsaid, said
    assert (b"nc is denied" in said, unsaid) == (True, b"")
    assert done.returncode == (2 if agent == "openhands" else 0)


def test_an_allow_prints_nothing(path: Path) -> None:
    with served(Court(ALLOW).service, path):
        done = run("codex", json.dumps(EVENTS["codex"]).encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_ask_is_printed_for_who_can_ask(path: Path) -> None:
    with served(Court(ASK).service, path):
        done = run("claude-code", json.dumps(EVENTS["claude-code"]).encode())
    assert json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"] == "ask"


def blocked(done: "subprocess.CompletedProcess[bytes]") -> str:
    text = done.stderr.decode()
    assert done.returncode == 2
    assert text.startswith("Blocked by the firewall: the tool-call service could not be asked: ")
    assert text.endswith(f"; {START}\n")
    return text


@pytest.mark.parametrize("agent", AGENTS)
def test_no_service_blocks_and_says_how_to_start_one(path: Path, agent: str) -> None:
    done = run(agent, b"{}")
    assert "No such file or directory" in blocked(done)
    if agent == "copilot":
        assert json.loads(done.stdout)["permissionDecision"] == "deny"
    else:
        assert done.stdout == b""


GOOD = b"HTTP/1.1 200 OK\r\nX-Hook-Exit: 0\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "the service answered ''"),
        (b"SSH-2.0-x\r\n\r\n", "the service answered 'SSH-2.0-x'"),
        (GOOD[:-3], "the service's answer is cut off"),
        (GOOD + b"x", "the service's answer is cut off"),
        (GOOD.replace(b"Exit: 0", b"Exit: 1"), "this is no answer of the tool-call service"),
        (GOOD.replace(b"X-Hook", b"X-Took"), "this is no answer of the tool-call service"),
        (GOOD.replace(b"Exit: 0", b"Exit: 2"), "this is no answer of the tool-call service"),
        (b"HTTP/1.1 401 No\r\n\r\nwho are you", "'HTTP/1.1 401 No' who are you"),
        (b"x" * (hook.ANSWER_LIMIT + 1), "the service's answer is too large"),
    ],
)
def test_nonsense_blocks(path: Path, said: bytes, reason: str) -> None:
    with saying(path, said):
        assert reason in blocked(run("claude-code", b"{}"))


def test_a_call_that_is_too_large_blocks(path: Path) -> None:
    assert "larger than 4194304 bytes" in blocked(run("gemini", b" " * (hook.BODY_LIMIT + 1)))


def test_a_service_that_says_nothing_blocks_in_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hook, "AGENTS", {"cursor": 0.1})
    monkeypatch.setattr(hook, "_given", lambda until: b"{}")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        assert hook.run("cursor") == 2
    assert "asked: timed out;" in capfd.readouterr().err


def test_an_agent_that_does_not_finish_is_told_in_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hook, "AGENTS", {"cursor": 0.1})
    reading, writing = os.pipe()
    kept = os.dup(0)
    try:
        os.dup2(reading, 0)
        os.write(writing, b"{")
        assert hook.run("cursor") == 2
    finally:
        os.dup2(kept, 0)
        for descriptor in (reading, writing, kept):
            os.close(descriptor)
    assert "the agent did not finish telling its call" in capfd.readouterr().err


def test_time_is_one_budget_for_everything() -> None:
    with pytest.raises(TimeoutError, match="took too long"):
        hook._left(0.0)


def test_an_interrupt_blocks(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(until: float) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(hook, "_given", interrupted)
    assert hook.run("cursor") == 2
    assert "asked: KeyboardInterrupt;" in capfd.readouterr().err


@given(st.binary() | st.binary().map(lambda tail: GOOD[:40] + tail))
def test_only_a_whole_answer_is_one(data: bytes) -> None:
    try:
        status, text = read_answer(data)
    except ValueError:
        return
    assert (status, text) == (0, b"") or text


def test_it_imports_nothing_that_takes_long() -> None:
    """The agent waits for it before every call; what it may load is what the interpreter has."""
    code = "import sys; from firewall.cli import entry; from firewall.toolcalls import hook"
    bare = [sys.executable, "-S", "-c", f"{code}; print(sorted(sys.modules))"]
    done = subprocess.run(
        bare, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    heavy = {"re", "json", "socket", "enum", "typing", "pathlib", "http", "typer", "pydantic"}
    assert set(ast.literal_eval(done.stdout)) & heavy == set()


def test_another_word_is_the_command_lines_own() -> None:
    done = run("unheard-of", b"")
    assert done.returncode == 2
    assert b"No such command 'unheard-of'" in done.stderr
