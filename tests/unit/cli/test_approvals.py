"""`firewall approvals`: what waits is shown harmlessly, and answered as a person says."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from firewall.cli.consent import consent
from firewall.cli.lines import line
from firewall.cli.main import app
from firewall.policy import load_policy
from firewall.policy.cases import judge
from firewall.requests import Execute, ToolCall
from firewall.toolcalls.spool import Answer, Owner, Question, Spool

HEAD = "version: 1\nname: test\nextends: [base]\n"
ID = {
    "type": "Execute",
    "path": "/usr/bin/id",
    "argv": ["id", "-u"],
    "directory": "/",
    "script": "",
    "digest": "ab" * 32,
}
PAY = {
    "type": "ToolCall",
    "tool": "pay",
    "arguments": '{"amount": 100, "to": "a*b"}',
    "call_id": None,
    "agent": "",
    "server": "bank",
    "session": "s1",
    "directory": "/",
}


class Desk:
    """The folder, with questions of this process."""

    def __init__(self, state: Path) -> None:
        self.spool = Spool(state / "approvals")
        self.spool.prepare()
        self.policy = state / "policy.yaml"

    def put(self, request: dict[str, Any] = ID, **changes: Any) -> Question:
        now = time.time()
        values = {
            "id": "k7mz",
            "rule": "careful",
            "reason": "it needs consent",
            "sources": [str(self.policy)],
            "sandbox": "run-1",
            "process": {"exe": "/usr/bin/bash", "pid": 4711},
            "request": request,
            "whole": True,
            "asked": now,
            "until": now + 100,
            "owner": Owner.of(os.getpid()),
        }
        question = Question(**{**values, **changes})
        self.spool.put(question)
        return question

    def write(self, text: str) -> None:
        self.policy.write_text(HEAD + text)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path))
    return Desk(tmp_path)


def command(*words: str) -> Result:
    return CliRunner().invoke(app, ["approvals", *words])


def test_nothing_waits(desk: Desk) -> None:
    assert command("list").output == "nothing waits for a person\n"


def test_without_a_folder_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path / "none"))
    assert command("list").output == "nothing waits for a person\n"


def test_the_list_shows_what_waits(desk: Desk) -> None:
    desk.put()
    head, row = command("list").output.splitlines()
    assert head.split() == ["id", "left", "rule", "what", "who", "since"]
    for each in ("k7mz", " s ", "careful", "exec /usr/bin/id -u", "run-1 bash[4711]"):
        assert each in row


def test_nothing_hostile_reaches_the_terminal(desk: Desk) -> None:
    desk.put({**ID, "argv": ["id", "\x1b[2J\r\nfaked"]}, sandbox="\x1b[1m", rule="\u202ex")
    output = command("list").output
    assert len(output.splitlines()) == 2
    assert "\x1b" not in output
    assert "\u202e" not in output
    assert "\\x1b[2J\\r\\nfaked" in output


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("allow", "k7mz"), (True, "once", "")),
        (("allow", "k7mz", "--session"), (True, "session", "")),
        (("deny", "k7mz"), (False, "once", "")),
        (("deny", "k7mz", "--reason", "not today"), (False, "once", "not today")),
    ],
)
def test_answers(desk: Desk, words: tuple[str, ...], answer: tuple[bool, str, str]) -> None:
    desk.put()
    result = command(*words)
    assert result.exit_code == 0
    assert "k7mz is" in result.output
    found = desk.spool.answer_to("k7mz")
    assert found is not None
    assert (found.allow, found.how, found.reason) == answer
    assert found.by
    assert found.uid == os.getuid()


def test_what_does_not_wait_is_not_answered(desk: Desk) -> None:
    desk.put()
    result = command("allow", "zzzz")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "firewall: nothing waits as 'zzzz'; there is: k7mz\n"


def test_one_answer_is_enough(desk: Desk) -> None:
    desk.put()
    command("deny", "k7mz")
    result = command("allow", "k7mz")
    assert (result.exit_code, result.stderr) == (1, "firewall: k7mz is answered already\n")
    assert desk.spool.answer_to("k7mz") == Answer(False, *_me())


def _me() -> tuple[str, int]:
    from firewall.cli.approvals import _person

    return _person()


@pytest.mark.parametrize("words", [("--write",), ("--session", "--rule")])
def test_options_that_exclude_each_other(desk: Desk, words: tuple[str, ...]) -> None:
    desk.put()
    result = command("allow", "k7mz", *words)
    assert result.exit_code == 1
    assert "exclude each other" in result.stderr
    assert desk.spool.answer_to("k7mz") is None


GRANT = '{name: id-allowed, allow: ["/usr/bin/id"], exactly: {arguments: ["-u"], directory: "/"}}'
POLICIES = {
    "in flow": (
        "shell: {default: ask, rules: [{name: careful, ask: [id]}]} # why\n",
        f"shell: {{default: ask, rules: [{{name: careful, ask: [id]}}, {GRANT}]}} # why\n",
    ),
    "in a block": (
        (
            "shell:\n  default: deny\n  rules:\n    # ours\n    - name: careful # a\n"
            "      ask: [id, git]\n    # end\n"
        ),
        (
            "shell:\n  default: deny\n  rules:\n    # ours\n    - name: careful # a\n"
            f"      ask: [id, git]\n    - {GRANT}\n    # end\n"
        ),
    ),
    "any program": (
        "shell: {rules: [{name: careful, ask: any, arguments: ['-u*']}]}\n",
        f"shell: {{rules: [{{name: careful, ask: any, arguments: ['-u*']}}, {GRANT}]}}\n",
    ),
    "by its digest": (
        f"shell: {{rules: [{{name: careful, ask: any, digests: [{'ab' * 32}]}}]}}\n",
        f"shell: {{rules: [{{name: careful, ask: any, digests: [{'ab' * 32}]}}, {GRANT}]}}\n",
    ),
    "two rules ask": (
        'shell: {rules: [{name: careful, ask: ["i*"]}, {name: b, ask: [id]}]}\n',
        f'shell: {{rules: [{{name: careful, ask: ["i*"]}}, {{name: b, ask: [id]}}, {GRANT}]}}\n',
    ),
}


@pytest.mark.parametrize("case", POLICIES)
def test_a_rule_takes_effect_and_leaves_the_rest_of_the_policy(desk: Desk, case: str) -> None:
    before, after = POLICIES[case]
    desk.write(before)
    desk.put()
    shown = command("allow", "k7mz", "--rule")
    assert shown.exit_code == 0, shown.output
    assert f"--- {desk.policy}" in shown.output
    assert desk.policy.read_text() == HEAD + before
    assert desk.spool.answer_to("k7mz") is None
    assert command("allow", "k7mz", "--rule", "--write").exit_code == 0
    assert desk.policy.read_text() == HEAD + after
    found = desk.spool.answer_to("k7mz")
    assert found is not None
    assert (found.allow, found.how) == (True, "rule")
    policy = load_policy(desk.policy)
    asked = Execute("/usr/bin/id", ("id", "-u"), "/", digest="ab" * 32)
    assert judge(policy, [asked], "").allowed
    others = (("id", "-u"), "/tmp"), (("id", "-u", "-n"), "/"), (("id", "-u "), "/")
    for argv, folder in others:
        assert not judge(policy, [replace(asked, argv=argv, directory=folder)], "").allowed
    assert [each.name for each in desk.policy.parent.glob("*.yaml")] == ["policy.yaml"]


SECTIONS = (
    "shell: {default: ask}\n",
    "shell:\n  default: ask # all\n",
    "shell:\n  default: ask\n  rules: []\n",
    "shell:\n  default: ask\n  rules:\n  - {name: no-nc, deny: [nc]}\n  # end\n",
)


@pytest.mark.parametrize("text", SECTIONS)
def test_where_the_default_asks_an_allow_is_added(desk: Desk, text: str) -> None:
    desk.write(text)
    change = consent(desk.put(rule="shell.default"))
    change.write()
    policy = load_policy(desk.policy)
    assert judge(policy, [Execute("/usr/bin/id", ("id", "-u"), "/")], "").allowed
    assert not judge(policy, [Execute("/usr/bin/id", ("id", "-g"), "/")], "").allowed
    assert all(part in change.after for part in text.split("#")[1:])


def test_a_tool_is_allowed_with_these_arguments(desk: Desk) -> None:
    desk.write("tools: {default: ask, rules: [{name: careful, ask: [mcp__bank__pay]}]}\n")
    change = consent(desk.put(PAY))
    assert 'exactly: {arguments: {"amount": 100, "to": "a*b"}}' in change.after
    change.write()
    policy = load_policy(desk.policy)
    for more, allowed in (({}, True), ({"amount": 99}, False), ({"note": "x"}, False)):
        arguments = json.dumps({"to": "a*b", "amount": 100} | more)
        call = ToolCall("pay", arguments, None, server="bank")
        assert judge(policy, [call], "").allowed == allowed


def test_a_command_of_a_tool_is_allowed_in_its_folder(desk: Desk) -> None:
    desk.write("shell: {rules: [{name: careful, ask: [id]}]}\n")
    call = {**PAY, "tool": "Bash", "server": "", "arguments": '{"command": "cd /srv; id -u"}'}
    change = consent(desk.put(call))
    grant = '{name: id-allowed, allow: [id], exactly: {arguments: ["-u"], directory: "/srv"}}'
    assert (grant in change.after, change.notes) == (True, ())
    nowhere = {**call, "arguments": '{"command": "id"}', "directory": ""}
    (note,) = consent(desk.put(nowhere, id="k7mx")).notes
    assert "allowed in any" in note


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "another rule denies": (
        "shell: {rules: [{name: careful, ask: [id]}, {name: b, deny: [id], arguments: [-u]}]}\n",
        {},
    ),
    "several things": (
        "shell: {rules: [{name: careful, ask: [id]}]}\n",
        {"request": {**PAY, "tool": "Bash", "arguments": '{"command": "id -u; id -g"}'}},
    ),
    "what cannot be read": ("shell: {opaque: ask}\n", {"rule": "shell.opaque"}),
    "a request too large": ("shell: {rules: [{name: careful, ask: [id]}]}\n", {"whole": False}),
    "control characters": (
        "shell: {rules: [{name: careful, ask: [id]}]}\n",
        {"request": {**ID, "argv": ["id", "a\u202eb"]}},
    ),
    "a policy that is gone": ("shell: 3\n", {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_changed_safely_is_left(desk: Desk, case: str) -> None:
    text, changes = REFUSED[case]
    desk.write(text)
    desk.put(**changes)
    result = command("allow", "k7mz", "--rule", "--write")
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("firewall: ")
    assert desk.policy.read_text() == HEAD + text
    assert desk.spool.answer_to("k7mz") is None


def test_a_preset_is_not_changed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firewall.cli.consent.PRESETS", desk.policy.parent)
    desk.write("shell: {default: ask}\n")
    desk.put(rule="shell.default")
    result = command("allow", "k7mz", "--rule", "--write")
    assert result.exit_code == 1
    assert "is a preset, which is not changed" in result.stderr
    assert '{name: NAME, allow: ["/usr/bin/id"]' in result.stderr


def test_a_decision_is_a_line_of_the_log() -> None:
    record = {
        "kind": "approval",
        "sandbox": "run-1",
        "action": "allow",
        "by": "ann",
        "how": "once",
        "rule": "careful",
        "request": json.loads(json.dumps(ID)),
    }
    told = str(line(record))
    assert "approval  allow by ann (once)  run-1  exec /usr/bin/id -u (rule careful)" in told
