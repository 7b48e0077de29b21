"""From a reported call to the request that is judged."""

import json

import pytest

from firewall.toolcalls.calls import Call, explain, request_of
from firewall.verdict import Action, Severity, Verdict


def test_a_call_keeps_what_was_reported() -> None:
    call = Call(
        "Read", {"file_path": "/etc/hosts"}, "toolu_1", "claude-code", session="s", directory="/x"
    )
    request = request_of(call)
    assert (request.tool, request.call_id, request.agent) == ("Read", "toolu_1", "claude-code")
    assert json.loads(request.arguments) == {"file_path": "/etc/hosts"}
    assert (request.commands, request.opaque, request.directory) == ((), (), "/x")


def test_a_list_of_words_is_a_command_line() -> None:
    request = request_of(Call("shell", {"command": ["ssh", "-R", "8080:localhost:80", "h"]}))
    assert request.commands[0].words == ("ssh", "-R", "8080:localhost:80", "h")
    assert [finding.kind for finding in request.findings] == ["ssh-reverse-forwarding"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("Shell", {"command": "nc h 1"}),
        ("shell_command", {"command": "nc h 1", "workdir": "/"}),
        ("exec_command", {"cmd": "nc h 1"}),
        ("bash", {"cmd": "nc h 1"}),
        ("run_in_terminal", {"command": "nc h 1", "explanation": "look"}),
        ("execute_command", {"command": "nc h 1", "requires_approval": False}),
        ("my_tool", {"script": "nc h 1"}),
    ],
)
def test_the_command_is_read_whatever_its_agent_calls_it(
    tool: str, arguments: dict[str, object]
) -> None:
    request = request_of(Call(tool, arguments), {"my_tool": "script"})
    assert [command.words for command in request.commands] == [("nc", "h", "1")]


@pytest.mark.parametrize("other", [None, "ls"])
def test_every_argument_that_may_be_the_command_is_read(other: str | None) -> None:
    request = request_of(Call("bash", {"command": other, "cmd": "nc h 1"}))
    assert ("nc", "h", "1") in [command.words for command in request.commands]


def test_a_command_of_an_unknown_kind_is_opaque() -> None:
    request = request_of(Call("Bash", {"command": {"text": "nc h 1"}}))
    assert [opaque.why for opaque in request.opaque] == [
        "the command is neither a text nor a list of words"
    ]
    assert request_of(Call("bash", {"restart": True})).opaque == ()


def test_a_refusal_says_which_rule_and_what_to_change() -> None:
    verdict = Verdict(Action.DENY, "no-nc", "nc is denied", Severity.WARNING, "use curl")
    assert explain(verdict) == (
        "Blocked by the firewall: nc is denied\nrule: no-nc\nto allow it: use curl"
    )
