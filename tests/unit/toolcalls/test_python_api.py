"""The Python API against a real Unix socket: allowed runs, all else is denied."""

import asyncio
import json
import socketserver
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firewall.cli.main import app
from firewall.places import approvals_directory
from firewall.toolcalls import approvals, renewal
from firewall.toolcalls.python import Denied, Firewall, guard_environment
from firewall.toolcalls.spool import Spool
from tests.waiting import eventually

BROKEN = [b"no json", b'{"action":"perhaps"}', b"[]", b"{}"]


class Service(socketserver.ThreadingUnixStreamServer):
    """Denies whatever mentions "rm", allows the rest; `body` replaces the answer."""

    daemon_threads = True
    body: bytes | None = None

    def __init__(self, path: str) -> None:
        super().__init__(path, _Handler)
        self.asked: list[dict[str, Any]] = []
        self.targets: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.targets.append(self.path)
        self.server.asked.append(json.loads(text))
        action = "deny" if b"rm" in text else "allow"
        body = self.server.body or json.dumps({"action": action, "text": "not rm"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(str(tmp_path / "tools")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def firewall(service: Service) -> Firewall:
    return Firewall(str(service.server_address))


def test_what_is_asked_is_the_whole_call(firewall: Firewall, service: Service) -> None:
    assert firewall.check("bash", {"command": "ls"}, call_id="c1", directory="/srv").allowed
    assert service.targets == ["/v1/tool-calls?wait=1"]
    asked = service.asked[0]
    assert (asked["tool"], asked["id"], asked["directory"]) == ("bash", "c1", "/srv")
    assert asked["arguments"] == {"command": "ls"}


def test_a_service_that_is_down_denies(tmp_path: Path) -> None:
    answer = Firewall(str(tmp_path / "nobody")).check("bash", {})
    assert not answer.allowed
    assert "firewall tools serve" in answer.text


@pytest.mark.parametrize("body", BROKEN)
def test_an_answer_that_makes_no_sense_denies(
    firewall: Firewall, service: Service, body: bytes
) -> None:
    service.body = body
    assert firewall.check("bash", {}).rule == "fail-closed.tool-calls.client"


def test_a_guarded_function_runs_only_when_allowed(firewall: Firewall, service: Service) -> None:
    ran: list[str] = []

    @firewall.guard
    def remove(what: str, how: str = "soft") -> None:
        ran.append(what)

    remove("a")
    assert service.asked[0]["arguments"] == {"what": "a", "how": "soft"}
    with pytest.raises(Denied, match="not rm"):
        remove("rm")
    assert ran == ["a"]


def test_a_guarded_coroutine_runs_only_when_allowed(firewall: Firewall) -> None:
    @firewall.guard
    async def run(what: str) -> str:
        return what

    assert asyncio.run(run("ls")) == "ls"
    with pytest.raises(Denied, match="not rm"):
        asyncio.run(run("rm"))


class _Environment:
    def execute(self, command: Any, cwd: str = "") -> dict[str, Any]:
        return {"output": "ran", "returncode": 0}

    async def run(self, argv: list[str]) -> dict[str, Any]:
        return {"output": "ran", "returncode": 0}


@pytest.mark.parametrize("command", ["rm x", {"command": "rm x"}, ("rm", "x")])
def test_an_environment_returns_the_refusal_as_output(firewall: Firewall, command: Any) -> None:
    environment = guard_environment(_Environment(), firewall)
    assert environment.execute("ls", cwd="/")["output"] == "ran"
    assert environment.execute(command) == {"output": "not rm", "returncode": 126}


def test_an_environment_of_coroutines_is_guarded_too(firewall: Firewall) -> None:
    environment = guard_environment(_Environment(), firewall, {"run": "argv"})
    assert asyncio.run(environment.run(["rm"]))["returncode"] == 126
    assert asyncio.run(environment.run(["ls"]))["returncode"] == 0


def test_a_parameter_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no parameter 'script'"):
        guard_environment(_Environment(), Firewall(""), {"execute": "script"})


@pytest.mark.parametrize("command", [7, None, {"argv": "rm"}, ["rm", 7]])
def test_a_command_that_cannot_be_judged_is_denied(firewall: Firewall, command: Any) -> None:
    environment = guard_environment(_Environment(), firewall)
    assert "neither text nor a list" in environment.execute(command)["output"]


def test_the_other_arguments_are_judged_too(firewall: Firewall, service: Service) -> None:
    class Sandbox:
        def exec(self, cmd: str, user: str = "root") -> str:
            return "ran"

    sandbox = guard_environment(Sandbox(), firewall, {"exec": "cmd"}, lambda answer: answer.text)
    assert sandbox.exec("ls", user="agent") == "ran"
    assert service.asked[0]["arguments"] == {"command": "ls", "user": "agent"}
    assert sandbox.exec("rm x") == "not rm"


POLICY = """
version: 1
name: p
tools:
  rules:
    - {name: small, deny: [pay], where: {"$.amount": {min: 100}}}
    - {name: careful, ask: [send]}
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(approvals, "POLL_SECONDS", 0.01)
    policy = tmp_path / "p.yaml"
    policy.write_text(POLICY)
    return policy


@pytest.fixture
def judging(policy: Path, tmp_path: Path) -> Iterator[Firewall]:
    firewall = Firewall(policy=str(policy), log=str(tmp_path / "audit"))
    yield firewall
    firewall.close()


def test_a_policy_judges_here_and_records(judging: Firewall, tmp_path: Path) -> None:
    assert judging.check("pay", {"amount": 1}).allowed
    answer = asyncio.run(judging.acheck("pay", {"amount": 100}))
    assert (answer.action, answer.rule) == ("deny", "small")
    judging.close()
    written = b"".join(path.read_bytes() for path in (tmp_path / "audit").rglob("*.log"))
    assert written.count(b'"pay"') >= 2
    assert not judging.check("pay", {"amount": 1}).allowed


def test_rules_with_labels_hold_where_they_fit(policy: Path, tmp_path: Path) -> None:
    policy.write_text("""
version: 1
name: labelled
tools: {rules: [{name: not-in-ci, deny: [pay], labels: {env: ci}}]}
""")
    name, log = str(policy), str(tmp_path / "audit")
    with (
        closing(Firewall(policy=name, log=log)) as here,
        closing(Firewall(policy=name, log=log, labels={"env": "ci"})) as in_ci,
    ):
        assert here.check("pay", {}).allowed
        assert in_ci.check("pay", {}).rule == "not-in-ci"
    with pytest.raises(ValueError, match="labels are for a policy"):
        Firewall(labels={"env": "ci"})


def test_a_fault_in_the_judge_of_this_process_denies(
    judging: Firewall, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(point: str) -> None:
        if point == "python.check":
            raise OSError("broken")

    monkeypatch.setattr("firewall.judge.probe", broken)
    assert judging.check("pay", {"amount": 1}).rule == "fail-closed.python.check"


def _approvals(*words: str) -> str:
    """What a person is told who answers the question that waits longest."""
    name = eventually(lambda: Spool(approvals_directory()).questions())[0].id
    return CliRunner().invoke(app, ["approvals", words[0], name, *words[1:]]).output


@pytest.mark.parametrize(
    ("words", "action", "why"),
    [(("allow",), "allow", "once"), (("deny", "--reason", "not today"), "deny", "not today")],
)
def test_a_person_is_asked_and_answers(
    judging: Firewall, words: tuple[str, ...], action: str, why: str
) -> None:
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(judging.check, "send", {"to": "ann"})
        assert judging.check("pay", {"amount": 1}).allowed, "one that waits holds no other"
        _approvals(*words)
        answer = waiting.result()
    assert (answer.action, answer.rule, why in answer.reason) == (action, "careful", True)


def test_a_rule_that_a_person_writes_is_in_force_for_the_next_call(judging: Firewall) -> None:
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(judging.check, "send", {"to": "ann"})
        _approvals("allow", "--rule", "--write")
        assert waiting.result().allowed
        assert judging.check("send", {"to": "ann"}).allowed


def test_a_policy_whose_file_changes_is_in_force_without_a_new_start(
    policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "LOOK_SECONDS", 0.01)
    with closing(Firewall(policy=str(policy), log=str(tmp_path / "audit"))) as judging:
        assert judging.check("pay", {"amount": 1}).allowed
        policy.write_text(POLICY.replace("min: 100", "min: 1"))
        assert eventually(lambda: judging.check("pay", {"amount": 1}).rule == "small")


def test_what_nobody_answers_in_time_is_denied_and_waits_no_more(
    policy: Path, tmp_path: Path
) -> None:
    firewall = Firewall(policy=str(policy), log=str(tmp_path / "audit"), timeout=0.05)
    answer = firewall.check("send", {"to": "ann"})
    assert (answer.action, "nobody approved it" in answer.reason) == ("deny", True)
    assert Spool(approvals_directory()).questions() == []
    firewall.close()


def test_what_waits_when_the_judge_of_this_process_ends_is_denied(judging: Firewall) -> None:
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(judging.check, "send", {"to": "ann"})
        eventually(lambda: Spool(approvals_directory()).questions())
        judging.close()
        assert "the firewall ends" in waiting.result().reason


def test_a_policy_without_a_log_is_refused() -> None:
    with pytest.raises(ValueError, match="belong together"):
        Firewall(policy="base")
