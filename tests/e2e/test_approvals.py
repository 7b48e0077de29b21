"""What a policy leaves to a person waits, under `firewall run`, for `firewall approvals`."""

import subprocess
from typing import Any

import pytest

from tests.e2e.conftest import FIREWALL, Workplace, needs
from tests.e2e.models import COMMAND, model
from tests.waiting import PATIENCE, eventually

pytestmark = needs("id", "bash")

POLICY = """
version: 1
name: test
extends: [base]
shell: {rules: [{name: careful, ask: [id]}]}
"""


class Waiting:
    """An agent, something of which waits for a person."""

    def __init__(self, workplace: Workplace, process: subprocess.Popen[str]) -> None:
        self.workplace = workplace
        self.policy = workplace.folder / "policy" / "policy.yaml"
        self.process = process

    @classmethod
    def at_id(cls, workplace: Workplace, script: str) -> "Waiting":
        """An agent that runs a script whose `id` waits."""
        (workplace.work / "agent").write_text(script)
        policy = workplace.policy(POLICY)
        return cls(workplace, workplace.start(policy, f"echo up; {RUN}", "up"))

    def approvals(self, *words: str) -> str:
        done = subprocess.run(
            [*FIREWALL, "approvals", *words],
            env=self.workplace.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return done.stdout

    def question(self) -> str:
        """The ID of the one question that waits."""
        folder = self.workplace.folder / "state" / "approvals"
        (found,) = eventually(lambda: list(folder.glob("*.question")))
        return found.stem

    def end(self) -> tuple[str, str, list[dict[str, Any]]]:
        """What the agent said, what the firewall did, and the records of both."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return out, err, self.workplace.records()


RUN = "bash ./agent"
"""A file that holds the commands, so that the outer command line does not name them."""


def decisions(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (each["verdict"]["action"], each["request"]["path"].rpartition("/")[2])
        for each in records
        if each["kind"] == "verdict" and each["verdict"]["rule"] == "careful"
    ]


def test_a_program_waits_until_it_is_allowed(workplace: Workplace) -> None:
    agent = Waiting.at_id(workplace, "id -u; echo over")
    name = agent.question()
    listed = agent.approvals("list")
    assert name in listed
    assert "exec /usr/bin/id -u" in listed
    assert agent.approvals("allow", name) == f"{name} is allowed\n"
    out, err, records = agent.end()
    assert out.splitlines()[0].isdigit()
    assert out.splitlines()[1] == "over"
    assert f"firewall: {name} waits for a person: rule careful" in err
    assert decisions(records) == [("ask", "id"), ("allow", "id")]
    (note,) = [each for each in records if each["kind"] == "approval"]
    assert (note["action"], note["how"], note["id"]) == ("allow", "once", name)


def test_a_denied_program_does_not_run(workplace: Workplace) -> None:
    agent = Waiting.at_id(workplace, "id -u; echo over")
    agent.approvals("deny", agent.question(), "--reason", "not today")
    out, err, records = agent.end()
    assert out == "over\n"
    assert "not today (rule careful)" in err
    assert decisions(records) == [("ask", "id"), ("deny", "id")]


def test_once_is_once_and_for_this_session_is_for_all(workplace: Workplace) -> None:
    agent = Waiting.at_id(workplace, "id -u; id -u; id -g; echo over")
    first = agent.question()
    agent.approvals("allow", first)
    second = eventually(lambda: agent.question() != first and agent.question())
    agent.approvals("allow", str(second), "--session")
    out, _, records = agent.end()
    assert len(out.splitlines()) == 4
    allowed = [("allow", "id")]
    assert decisions(records) == [("ask", "id"), *allowed, ("ask", "id"), *allowed, *allowed]
    grants = workplace.folder / "state" / "approvals" / "grants"
    assert list(grants.iterdir()) == [], "they end with the firewall"


def test_a_rule_is_in_force_at_once_and_from_then_on(workplace: Workplace) -> None:
    agent = Waiting.at_id(workplace, "id -u; echo over")
    agent.approvals("allow", agent.question(), "--rule", "--write")
    out, _, _ = agent.end()
    assert out.splitlines()[1] == "over"
    assert 'allow: ["/usr/bin/id"], exactly: {arguments: ["-u"]' in agent.policy.read_text()
    result = workplace.run(agent.policy, "id", "-u")
    assert (result.status, result.out) == (0, out.splitlines()[0] + "\n")


def test_the_agent_sees_no_questions_and_answers_none(workplace: Workplace) -> None:
    script = 'ls "$FIREWALL_STATE/approvals" && echo seen; : > "$FIREWALL_STATE/x"; id; echo over'
    agent = Waiting.at_id(workplace, script)
    agent.approvals("deny", agent.question())
    out, err, _ = agent.end()
    assert out == "over\n"
    assert "ls: cannot" in err
    assert not (workplace.folder / "state" / "x").exists()


def test_what_nobody_answers_is_denied(workplace: Workplace) -> None:
    """This firewall gives a person less time than others do."""
    short = (
        "from firewall.toolcalls import approvals; approvals.SECONDS = 0.3;"
        " from firewall.cli.main import app; app()"
    )
    command = workplace.command(workplace.policy(POLICY), "bash", "-c", "id; echo over")
    done = subprocess.run(
        [command[0], "-c", short, *command[3:]],
        cwd=workplace.work,
        env=workplace.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == ""
    assert "nobody approved it within 0 s (rule careful)" in done.stderr


CALLS = """
version: 1
name: test
extends: [base]
network:
  names: {origin.test: 127.0.0.1}
  rules:
    - {name: model, allow: https, hosts: [origin.test], ports: [{port}],
       addresses: [127.0.0.1/32], tool-calls: inspect}
tools: {rules: [{name: careful, ask: [Bash]}]}
"""
ASK = """echo up; curl -sS --json '{"model": "m", "tools": [{"name": "Bash"}], "messages": []}' """


@needs("curl")
@pytest.mark.parametrize(
    ("answer", "told"),
    [(("allow",), COMMAND), (("deny", "--reason", "not today"), "denied by")],
)
def test_a_call_in_a_models_answer_waits(
    workplace: Workplace, answer: tuple[str, ...], told: str
) -> None:
    with model(workplace.certificates.context()) as served:
        port = served.url.rpartition(":")[2]
        policy = workplace.policy(CALLS, port=port)
        script = f"{ASK} https://origin.test:{port}/v1/messages"
        process = workplace.start(policy, script, "up")
        agent = Waiting(workplace, process)
        name = agent.question()
        assert "Bash" in agent.approvals("list")
        agent.approvals(answer[0], name, *answer[1:])
        out, _, records = agent.end()
    assert told in out
    assert (COMMAND in out) is (answer == ("allow",))
    verdicts = [
        each["verdict"]["action"]
        for each in records
        if each["kind"] == "verdict" and each["request"]["type"] == "ToolCall"
    ]
    assert verdicts == ["ask", answer[0]]
    (note,) = (each for each in records if each["kind"] == "approval")
    assert (note["action"], note["rule"], note["id"]) == (answer[0], "careful", name)
