"""From a reported call to the request that is judged."""

import json

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


def test_a_refusal_says_which_rule_and_what_to_change() -> None:
    verdict = Verdict(Action.DENY, "no-nc", "nc is denied", Severity.WARNING, "use curl")
    assert explain(verdict) == (
        "Blocked by the firewall: nc is denied\nrule: no-nc\nto allow it: use curl"
    )
