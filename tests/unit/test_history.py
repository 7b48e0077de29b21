"""What was done so far: kept, bounded, told, and free where nobody asks."""

from dataclasses import replace
from pathlib import Path

import pytest

from firewall.actor import Actor
from firewall.deeds import NOTHING, Deed, deeds, resolve
from firewall.history import LIMIT, History
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.requests import (
    Command,
    Connect,
    Execute,
    HttpRequest,
    Intent,
    Override,
    SshChannel,
    ToolCall,
)
from firewall.verdict import Verdict
from tests.unit.proxy.stage import CURL, Memory

ACTOR = Actor("run-1", CURL)


def test_what_requests_do() -> None:
    fetch = Command(
        ("curl", "-o", "x", "u"), (), "/src", (Intent("download", "u", "x"),), ("cfg",), ("x",)
    )
    send = Command(("scp", "a", "h:"), (), "/src", (Intent("upload", "h"),))
    run = Command(("bash", "-x", "x"), (), "/src")
    assert deeds(ToolCall("Bash", "{}", commands=(fetch, send, run))) == (
        Deed("download", "/src/x"),
        Deed("read", "/src/cfg"),
        Deed("write", "/src/x"),
        Deed("upload", "h"),
        Deed("run", "/src/x"),
    )
    assert deeds(Execute("/bin/sh", ("sh",), "/src", script="/src/x")) == (
        Deed("run", "/bin/sh"),
        Deed("run", "/src/x"),
    )
    post = HttpRequest("POST", "https", "a.test", 443, "/", "a.test")
    assert deeds(post) == (Deed("upload", "a.test"),)
    assert deeds(replace(post, method="GET")) == ()
    told = replace(post, method="GET", overrides=(Override("x-http-method", "POST"),))
    assert deeds(told) == (Deed("upload", "a.test"),)
    assert deeds(SshChannel("a.test", 22, "u", "write-file", "/x")) == (Deed("upload", "a.test"),)
    assert deeds(Connect("a.test", 443)) == ()


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("Read", '{"file_path": "/src/.env"}', (Deed("read", "/src/.env"),)),
        ("Write", '{"file_path": "a/../b"}', (Deed("write", "/src/b"),)),
        ("read_file", '{"path": "~/.ssh/id"}', (Deed("read", "~/.ssh/id"),)),
        ("Read", "[" * 100_000, ()),
        ("Read", '{"file_path": 7}', ()),
        ("Other", '{"file_path": "/x"}', ()),
    ],
)
def test_what_file_tools_do(tool: str, arguments: str, expected: tuple[Deed, ...]) -> None:
    assert deeds(ToolCall(tool, arguments, directory="/src")) == expected


def test_code_in_an_argument_is_no_file() -> None:
    for words in (("bash", "-c", "x"), ("python3", "-m", "http.server"), ("bash", None, "x")):
        assert deeds(ToolCall("Bash", "{}", commands=(Command(words),))) == ()


def test_paths() -> None:
    assert resolve("../x", "/src/a") == "/src/x"
    assert resolve(".env", "") == "./.env"
    assert resolve("", "/src") == ""


def test_only_what_is_wanted_is_kept_and_its_time_is_the_last() -> None:
    now = [10.0]
    history = History(lambda: now[0])
    read, write = Deed("read", "/a"), Deed("write", "/a")
    assert history.add([read, write], {"read"}) == (Deed("read", "/a", 10.0),)
    now[0] = 15.0
    history.add([read, Deed("read", "/b", 12.0)], {"read"})
    past = history.past({"read"})
    assert (past.now, past.deeds) == (15.0, {"read": {"/a": 15.0, "/b": 12.0}})
    assert history.past(set()) is NOTHING
    history.add([Deed("read", "/c")], {"read"})
    assert "/c" not in past.deeds["read"], "what was given no longer changes"


def test_it_is_bounded_and_forgets_the_oldest() -> None:
    history = History(lambda: 1.0)
    history.add((Deed("read", str(number)) for number in range(LIMIT + 10)), {"read"})
    kept = history.past({"read"}).deeds["read"]
    assert len(kept) == LIMIT
    assert "9" not in kept
    assert "10" in kept


RULES = """version: 1
name: test
tools:
  rules:
    - {name: no-send, deny: [Send], after: {did: read, files: ["**/.env"]}}
    - {name: no-run, deny: [Run], after: {did: write}}
    - {name: no-key, deny: [Read], where: {"$.file_path": {glob: "*.key"}}}
"""
READ = ToolCall("Read", '{"file_path": "/src/.env"}')
SEND = ToolCall("Send", "{}")


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    path = tmp_path / "test.yaml"
    path.write_text(RULES)
    memory = Memory()
    return Judge(load_policy(path), memory, memory, memory)


def _rule(judge: Judge, request: ToolCall) -> str:
    answers: list[Verdict] = []
    judge.decide(request, ACTOR, {}, answers.append)
    return answers[0].rule


def test_the_judge_remembers_what_it_allowed(judge: Judge) -> None:
    told: list[tuple[Deed, ...]] = []
    judge.on_deeds = told.append
    assert _rule(judge, SEND) == "tools.default"
    assert _rule(judge, READ) == "tools.default"
    assert _rule(judge, SEND) == "no-send"
    assert [(each.what, each.object) for each in told[0]] == [("read", "/src/.env")]
    assert told[0][0].at > 0
    assert len(told) == 1


def test_what_was_refused_was_not_done(judge: Judge) -> None:
    denied = ToolCall("Read", '{"file_path": "/src/.env/x.key"}')
    assert _rule(judge, denied) == "no-key"
    assert judge._history.past({"read"}).deeds == {}


def test_the_judge_takes_in_what_another_process_allowed(judge: Judge) -> None:
    told: list[tuple[Deed, ...]] = []
    judge.on_deeds = told.append
    judge.remember([Deed("read", "/x/.env", 1.0), Deed("run", "/x")])
    assert _rule(judge, SEND) == "no-send"
    assert told == [], "it is not told on: whoever sent it knows"
