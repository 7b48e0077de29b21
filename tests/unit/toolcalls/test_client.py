"""The client: whatever goes wrong is a deny that says how to start the service."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firewall.toolcalls.calls import Call
from firewall.toolcalls.client import Answer, check
from firewall.toolcalls.places import START, VARIABLE
from tests.unit.toolcalls.serving import ALLOW, ASK, DENY, Court, saying, served
from tests.unit.toolcalls.test_service import Person

CALL = Call("Bash", {"command": "nc -l 1"}, "c-1", "me", "srv", "s-1", "/src")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tools.sock"


def test_it_is_told_what_was_decided(path: Path) -> None:
    court = Court(DENY)
    with served(court.service, path):
        answer = check(CALL, str(path))
    text = "Blocked by the firewall: nc is denied\nrule: no-nc\nto allow it: use curl"
    assert answer == Answer("deny", "no-nc", "nc is denied", "use curl", text)
    assert not answer.allowed
    asked = court.call
    assert (asked.tool, asked.call_id, asked.agent, asked.server) == ("Bash", "c-1", "me", "srv")
    assert (asked.session, asked.directory) == ("s-1", "/src")


def test_an_allow_is_one(path: Path) -> None:
    with served(Court(ALLOW).service, path):
        assert check(CALL, str(path)).allowed


@pytest.mark.parametrize(("wait", "action"), [(False, "ask"), (True, "allow")])
def test_it_waits_for_a_person_if_told_to(path: Path, wait: bool, action: str) -> None:
    with served(Court(ASK, Person()).service, path):
        answer = check(CALL, str(path), wait=wait)
    assert (answer.action, answer.allowed) == (action, wait)


def test_the_environment_names_the_service(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(path))
    with served(Court(ALLOW).service, path):
        assert check(CALL).rule == "fine"


def test_what_starts_a_service_is_written_in_full() -> None:
    assert re.findall("`(.*?)`", START) == [
        "firewall tools serve --policy POLICY",
        "firewall run --policy POLICY -- AGENT",
    ]


def refused(answer: Answer) -> str:
    assert (answer.action, answer.rule) == ("deny", "fail-closed.tool-calls.client")
    assert answer.text == f"Blocked by the firewall: {answer.reason}\n{START}"
    return answer.reason


def test_no_service_is_a_deny(path: Path) -> None:
    assert "No such file or directory" in refused(check(CALL, str(path)))
    assert "path too long" in refused(check(CALL, "x" * 200))


OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "closed connection without response"),
        (b"SSH-2.0-x\r\n", "SSH-2.0-x"),
        (OK % (2, b"{}"), "'action'"),
        (OK % (2, b"[]"), "TypeError"),
        (OK % (1, b"{"), "Expecting property name"),
        (OK % (9, b"{}"), "'action'"),
        (b'HTTP/1.1 400 No\r\nContent-Length: 16\r\n\r\n{"error": "why"}', "why"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}", "status 500"),
    ],
)
def test_nonsense_is_a_deny(path: Path, said: bytes, reason: str) -> None:
    with saying(path, said):
        assert reason in refused(check(CALL, str(path)))


def test_an_allow_that_is_not_spelled_so_is_none(path: Path) -> None:
    body = b'{"action": true, "rule": "", "reason": "", "remedy": "", "text": ""}'
    with saying(path, OK % (len(body), body)):
        assert not check(CALL, str(path)).allowed


def test_a_service_that_says_nothing_is_a_deny(path: Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        assert "timed out" in refused(check(CALL, str(path), timeout=0.05))


def test_a_trickle_does_not_buy_more_time(path: Path) -> None:
    body = b" " * 40 + b'{"action": "allow"}'
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_trickle, args=(listener, OK % (len(body), body)))
        thread.start()
        assert "timed out" in refused(check(CALL, str(path), timeout=0.2))
        thread.join()


def _trickle(listener: socket.socket, answer: bytes) -> None:
    with listener.accept()[0] as client, contextlib.suppress(BrokenPipeError):
        for at in range(len(answer)):
            client.send(answer[at : at + 1])
            time.sleep(0.01)


def _nested() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(100_000):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    "arguments", [_nested, lambda: {"a": (each for each in "")}, lambda: {(): 1}]
)
def test_arguments_that_cannot_be_told_are_a_deny(
    path: Path, arguments: Callable[[], dict[str, Any]]
) -> None:
    with served(Court(ALLOW).service, path):
        refused(check(Call("t", arguments()), str(path)))
