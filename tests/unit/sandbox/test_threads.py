"""Which processes belong to which tool call."""

import json
from typing import Any

import pytest

from firewall.actor import Actor, Process
from firewall.sandbox.threads import CALLS, Threads

AGENT = Process(10, 1.0, "/bin/agent", ("agent",), 1)
HOOK = Process(11, 2.0, "/bin/hook", ("hook",), 1)
SHELL = Process(12, 3.0, "/bin/agent", ("agent",), 1)
CHILD = Process(13, 4.0, "/bin/sh", ("sh",), 1)
STRANGER = Process(20, 1.0, "/bin/other", ("other",), 1)


def actor(*chain: Process) -> Actor:
    return Actor("run", chain[0], chain[1:])


def called(arguments: Any, call_id: str | None = "c1", action: str = "allow") -> dict[str, Any]:
    chain = [{"pid": each.pid, "started": each.started} for each in (HOOK, AGENT)]
    return {
        "request": {"type": "ToolCall", "call_id": call_id, "arguments": json.dumps(arguments)},
        "verdict": {"action": action},
        "actor": {"process": chain[0], "ancestors": chain[1:]},
    }


def threads(**more: Any) -> Threads:
    found = Threads()
    found.verdict(called({"command": "make test"}, **more))
    return found


@pytest.mark.parametrize(
    "argv", [["bash", "-c", "make test"], ["sh", "-c", "eval 'make test' && pwd"]]
)
def test_the_program_that_runs_the_command_is_the_calls(argv: list[str]) -> None:
    assert threads().started(actor(SHELL, AGENT), argv).tool_call == "c1"


def test_so_is_all_that_it_starts() -> None:
    found = threads()
    found.started(actor(SHELL, AGENT), ["bash", "-c", "make test"])
    assert found.started(actor(CHILD, SHELL, AGENT), ["cc"]).tool_call == "c1"
    assert found.of(actor(CHILD, SHELL, AGENT)).tool_call == "c1"
    assert found.of(actor(AGENT)).tool_call is None
    again = Process(SHELL.pid, 99.0, "/bin/x", ("x",), 1)
    assert found.of(actor(again, AGENT)).tool_call is None, "another process of that number"


@pytest.mark.parametrize(
    ("who", "argv"),
    [(STRANGER, ["bash", "-c", "make test"]), (SHELL, ["bash", "-c", "make all"])],
)
def test_other_programs_belong_to_no_call(who: Process, argv: list[str]) -> None:
    chain = actor(who) if who is STRANGER else actor(who, AGENT)
    assert threads().started(chain, argv).tool_call is None


@pytest.mark.parametrize("more", [{"action": "deny"}, {"call_id": None}])
def test_a_call_that_does_not_run_starts_nothing(more: dict[str, Any]) -> None:
    assert threads(**more).started(actor(SHELL, AGENT), ["sh", "-c", "make test"]).tool_call is None


def test_a_command_may_be_a_list() -> None:
    found = Threads()
    found.verdict(called({"command": ["bash", "-lc", "make test"]}))
    assert found.started(actor(SHELL, AGENT), ["bash", "-lc", "make test"]).tool_call == "c1"


def test_the_newest_of_two_like_calls_counts() -> None:
    found = threads()
    found.verdict(called({"command": "make test"}, "c2"))
    assert found.started(actor(SHELL, AGENT), ["sh", "-c", "make test"]).tool_call == "c2"


def test_what_is_kept_is_bounded_and_odd_arguments_do_no_harm() -> None:
    found = threads()
    odd: list[Any] = [[], "x", {"command": 1}, {"command": []}]
    for each in odd:
        found.verdict(called(each))
    for _ in range(CALLS):
        found.verdict(called({"command": "other"}))
    assert found.started(actor(SHELL, AGENT), ["sh", "-c", "make test"]).tool_call is None


def test_a_call_is_known_by_its_command_without_the_secrets() -> None:
    found = Threads()
    found.clean = lambda text: text.replace("s3cret", "[redacted:1]")
    found.verdict(called({"command": "curl -H 'Cookie: [redacted:1]' a.test"}))
    argv = ["bash", "-c", "curl -H 'Cookie: s3cret' a.test"]
    assert found.started(actor(SHELL, AGENT), argv).tool_call == "c1"
