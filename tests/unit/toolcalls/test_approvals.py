"""What waits for a person: asked, answered, denied in time, granted for no more than was said."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from firewall.actor import Actor, Process
from firewall.commands import read_argv, read_shell
from firewall.credentials import KEYS_ALONE
from firewall.deeds import Did, Past
from firewall.judge import Judge
from firewall.policy import Policy
from firewall.redaction import Terms
from firewall.requests import Execute, Request, ToolCall
from firewall.toolcalls import approvals, spool
from firewall.toolcalls.approvals import Approvals
from firewall.toolcalls.spool import Answer, AnsweredError, Owner, Question, Spool
from firewall.verdict import Action, Severity, Verdict
from tests.unit.proxy.stage import CURL, Memory
from tests.waiting import eventually

ACTOR = Actor("run-1", CURL)
ASK = Verdict(Action.ASK, "careful", "it needs consent", Severity.WARNING, "let a person allow it")
YES = Answer(allow=True, by="ann", uid=1000)
FOR_SESSION = Answer(allow=True, by="ann", uid=1000, how="session")


class Asking:
    """A policy that leaves everything to a person."""

    digest = "d"
    on_critical = "alert"
    remembers: frozenset[Did] = frozenset()
    dated: bool = False
    redaction = Terms()
    watched = KEYS_ALONE
    sources = (Path("/etc/policy.yaml"),)

    def decide(self, request: Request, actor: Actor, past: Past) -> Verdict:
        return ASK


def tool(text: str, session: str = "s1") -> ToolCall:
    commands = read_shell(text, "/").commands
    arguments = json.dumps({"command": text})
    return ToolCall("Bash", arguments, "call-1", session=session, commands=commands)


def run(path: str, *argv: str) -> Execute:
    reading = read_argv((path, *argv[1:]), "/")
    return Execute(os.path.realpath(path), argv, "/", commands=reading.commands)


def asked(name: str, owner: Owner) -> Question:
    now = time.time()
    return Question(name, "r", "why", [], "run-1", {}, {}, True, now, now + 9, owner)


class Office:
    """A judge with a desk, and the person's side of the folder."""

    def __init__(self, folder: Path, seconds: float = 300.0) -> None:
        self.memory = Memory()
        self.said: list[str] = []
        self.judge = Judge(cast("Policy", Asking()), self.memory, self.memory, self.memory)
        self.desk = Approvals(folder, self.judge, self.said.append, seconds=seconds)
        self.judge.desk = self.desk
        self.spool = Spool(folder)

    def ask(self, request: Request, actor: Actor = ACTOR) -> list[Verdict]:
        answers: list[Verdict] = []
        self.judge.decide(request, actor, {}, answers.append)
        return answers

    def question(self) -> Question:
        return self.spool.questions()[-1]

    def answered(self, request: Request, answer: Answer) -> Verdict:
        answers = self.ask(request)
        self.spool.answer(self.question().id, answer)
        return eventually(lambda: answers)[0]

    def notes(self) -> list[dict[str, object]]:
        return [each for each in self.memory.records if each["kind"] == "approval"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "POLL_SECONDS", 0.01)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path / "approvals")
    yield office
    office.desk.close()


def test_a_question_says_what_is_asked_by_whom_and_until_when(office: Office) -> None:
    assert office.ask(tool("id")) == []
    question = office.question()
    assert (question.rule, question.reason) == ("careful", "it needs consent")
    assert question.sandbox == "run-1"
    assert question.process["exe"] == "/usr/bin/curl"
    assert question.request["arguments"] == '{"command": "id"}'
    assert question.until - question.asked == 300
    assert question.sources == ["/etc/policy.yaml"]
    (said,) = office.said
    assert said.startswith(f"firewall: {question.id} waits for a person: it needs consent; ")
    assert said.endswith(f"firewall approvals allow {question.id} (or deny) within 300 s")


def test_an_allow_is_for_once_and_is_recorded(office: Office) -> None:
    verdict = office.answered(run("/usr/bin/id", "id"), YES)
    assert (verdict.action, verdict.rule) == (Action.ALLOW, "careful")
    assert verdict.reason == "it needs consent; approved by ann (uid 1000) once"
    note = office.notes()[0]
    assert (note["action"], note["by"], note["uid"]) == ("allow", "ann", 1000)
    assert (note["how"], note["sandbox"], note["rule"]) == ("once", "run-1", "careful")
    assert office.spool.questions() == []
    assert office.ask(run("/usr/bin/id", "id")) == [], "the next one is asked about again"


def test_a_deny_says_why(office: Office) -> None:
    no = Answer(allow=False, by="ann", uid=1000, reason="not today")
    verdict = office.answered(tool("id"), no)
    assert verdict.action is Action.DENY
    assert verdict.reason == "it needs consent; denied by ann (uid 1000): not today"
    assert office.notes()[0]["reason"] == "not today"


def test_what_nobody_answers_in_time_is_denied(tmp_path: Path) -> None:
    office = Office(tmp_path, seconds=0.0)
    answers = office.ask(tool("id"))
    assert eventually(lambda: answers)[0].action is Action.DENY
    assert answers[0].reason == "it needs consent; nobody approved it within 0 s"
    assert office.notes()[0]["how"] == "time is up"
    assert office.spool.questions() == []
    office.desk.close()


def test_the_end_denies_what_waits_and_takes_no_more(office: Office) -> None:
    waiting = office.ask(tool("id"))
    office.desk.close()
    late = office.ask(tool("id"))
    assert [each[0].reason for each in (waiting, late)] == [
        "it needs consent; the firewall ends"
    ] * 2
    assert not list(office.spool.folder.glob("*.*"))
    assert not office.desk._thread.is_alive()


def test_nobody_answers_endlessly_many(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "WAITING", 1)
    assert office.ask(tool("id")) == []
    refused = office.ask(tool("id"))
    assert refused[0].action is Action.DENY
    assert "1 questions wait already" in refused[0].reason


def test_a_question_ends_with_who_asked(office: Office) -> None:
    child = subprocess.Popen(["sleep", "60"])
    caller = Actor("run-1", Process(child.pid, 1.0, "/bin/sleep", ("sleep",), 0))
    answers = office.ask(tool("id"), caller)
    assert office.question()
    child.kill()
    child.wait()
    assert eventually(lambda: answers)[0].reason == "it needs consent; who asked has ended"


def test_for_this_session_means_the_same_tool_rule_and_session(office: Office) -> None:
    verdict = office.answered(tool("id"), FOR_SESSION)
    assert verdict.reason.endswith("approved by ann (uid 1000) for this session")
    assert office.ask(tool("whoami"))[0].allowed, "whatever its arguments"
    assert office.ask(tool("id", session="s2")) == []
    assert office.ask(ToolCall("Write", "{}", session="s1")) == []
    assert office.ask(tool("id"), Actor("run-2", CURL)) == []
    other = Verdict(Action.ASK, "other", "why")
    assert office.desk.standing(tool("id"), ACTOR, other) is other


def test_for_this_session_means_the_same_program(office: Office) -> None:
    office.answered(run("/usr/bin/id", "id"), FOR_SESSION)
    assert office.ask(run("/usr/bin/id", "id", "-u"))[0].allowed
    assert office.ask(run("/usr/bin/env", "env")) == []
    dropped = Execute("/tmp/id", ("id",), "/")
    assert office.ask(dropped) == [], "another file of that name"


def test_an_approved_call_covers_the_programs_that_it_runs_and_no_others(office: Office) -> None:
    office.answered(tool("id -u && env"), YES)
    assert office.ask(run("/usr/bin/id", "id", "-u"))[0].reason == (
        "it needs consent; approved by ann (uid 1000) with the call that runs it"
    )
    assert office.ask(run("/usr/bin/id", "id", "-g")) == []
    assert office.ask(Execute("/tmp/id", ("id", "-u"), "/")) == []
    assert office.ask(tool("id -u && env")) == [], "the call itself was for once"


def test_what_a_call_covers_ends(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firewall.toolcalls.grants.COVER_SECONDS", -1.0)
    office.answered(tool("id"), YES)
    assert office.ask(run("/usr/bin/id", "id")) == []


def test_a_word_that_only_running_can_tell_is_asked_about(office: Office) -> None:
    office.answered(tool("id $X"), YES)
    assert office.ask(run("/usr/bin/id", "id")) == []


def test_grants_are_known_to_every_judge_and_end_with_the_firewall(office: Office) -> None:
    office.answered(tool("id"), FOR_SESSION)
    depth = Approvals(office.spool.folder, office.judge, owner=os.getppid())
    assert depth.standing(tool("id"), ACTOR, ASK).allowed
    assert office.ask(tool("id"))[0].allowed
    office.desk.close()
    assert office.desk.standing(tool("id"), ACTOR, ASK) is ASK


def test_the_files_are_the_users_own(office: Office) -> None:
    office.ask(tool("id"))
    assert office.spool.folder.stat().st_mode & 0o777 == 0o700
    (question,) = office.spool.folder.glob("*.question")
    assert question.stat().st_mode & 0o777 == 0o600


def test_an_answer_of_another_user_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Spool(tmp_path)
    folder.put(asked("k7mz", Owner.of(os.getpid())))
    folder.answer("k7mz", YES)
    assert folder.answer_to("k7mz") == YES
    if os.geteuid() == 0:
        os.chown(tmp_path / "k7mz.answer", 65534, 65534)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert folder.answer_to("k7mz") is None


def test_the_first_answer_counts(tmp_path: Path) -> None:
    folder = Spool(tmp_path)
    folder.put(asked("k7mz", Owner.of(os.getpid())))
    folder.answer("k7mz", YES)
    with pytest.raises(AnsweredError, match="k7mz is answered already"):
        folder.answer("k7mz", FOR_SESSION)
    assert folder.answer_to("k7mz") == YES


def test_questions_of_processes_that_ended_are_cleared(office: Office) -> None:
    for name, owner in (("k7mz", Owner(os.getpid(), 1)), ("k7my", Owner(2**22 + 1, 5))):
        office.spool.put(asked(name, owner))
    assert office.spool.questions() == []
    assert not list(office.spool.folder.glob("*.question"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}', "[" * 100_000, '{"owner": 3}'])
def test_a_damaged_file_is_no_question_and_no_answer(office: Office, text: str) -> None:
    answers = office.ask(tool("id"))
    name = office.question().id
    (office.spool.folder / "k7mz.question").write_text(text)
    (office.spool.folder / f"{name}.answer").write_text(text)
    assert [each.id for each in office.spool.questions()] == [name]
    assert office.spool.answer_to(name) is None
    assert answers == []


def test_an_answer_of_unknown_form_denies(office: Office) -> None:
    answers = office.ask(tool("id"))
    body = {"allow": True, "by": "ann", "uid": 0, "how": "forever"}
    spool.write(office.spool.folder / f"{office.question().id}.answer", body)
    assert eventually(lambda: answers)[0].reason == "it needs consent; its answer was not readable"


@pytest.mark.parametrize("name", ["../x", "", "K7MZ", "a/b", "k7m\n"])
def test_an_id_is_no_path(office: Office, name: str) -> None:
    assert office.spool.find(name) is None


def test_a_request_of_any_size_is_asked_about_in_a_bounded_file(office: Office) -> None:
    office.ask(Execute("/usr/bin/id", ("é" * 5000,) * 1000, "/"))
    question = office.question()
    assert not question.whole
    assert len(question.request["argv"]) == approvals.ITEMS_LIMIT


def test_answers_come_on_the_thread_that_owns_the_judge(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.desk.close()
    posted: list[object] = []
    office.desk = office.judge.desk = Approvals(tmp_path, office.judge, print, posted.append)
    answers = office.ask(tool("id"))
    office.spool.answer(office.question().id, YES)
    eventually(lambda: posted)
    assert answers == []
    office.desk.close()
