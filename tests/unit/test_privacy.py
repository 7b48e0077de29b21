"""A secret that an agent uses is in no file, no number and no answer of the firewall."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from firewall.actor import Actor, Process
from firewall.audit import AuditLog, describe, verify
from firewall.cli.teller import Teller
from firewall.commands import read_shell
from firewall.judge import Judge
from firewall.metrics import Metrics
from firewall.metrics.exposition import registry
from firewall.policy import load_policy
from firewall.requests import Execute, HttpRequest, Request, SshChannel, ToolCall
from firewall.toolcalls.approvals import Approvals
from firewall.toolcalls.service import Service
from firewall.verdict import Verdict
from tests.unit.proxy.stage import Memory

SECRET = "S3cr3tValue99"
COMMAND = f"curl -H 'Authorization: Bearer {SECRET}' 'https://me:{SECRET}@a.test/?ticket={SECRET}'"
WORDS = ("curl", "--oauth2-bearer", "x", "-H", f"X-Corp: {SECRET}", f"https://a.test/?key={SECRET}")
ACTOR = Actor(
    "run-1",
    Process(10, 1.0, "/usr/bin/curl", WORDS, 1000),
    (Process(9, 1.0, "/bin/bash", ("bash", "-c", COMMAND), 1000),),
)
POLICY = """
version: 1
name: test
extends: [base]
audit: {redact: {headers: [X-Corp], query: [ticket], patterns: ["S3cr3t[A-Za-z]+99-corp"]}}
shell: {rules: [{name: careful, ask: [curl]}]}
tools: {rules: [{name: calls, ask: [Bash]}, {name: none, deny: [Web*]}]}
"""
REQUESTS: list[Request] = [
    HttpRequest("GET", "https", "a.test", 443, f"/?token={SECRET}", "a.test"),
    Execute("/usr/bin/curl", WORDS, "/", commands=read_shell(COMMAND, "/").commands),
    ToolCall("Bash", json.dumps({"command": COMMAND}), commands=read_shell(COMMAND, "/").commands),
    SshChannel("a.test", 22, "me", "exec", f"TOKEN={SECRET} ./run"),
    ToolCall("WebFetch", json.dumps({"url": f"https://a.test/?sig={SECRET}", "token": SECRET})),
]


class House:
    """A judge with its log, its numbers, its terminal and its desk."""

    def __init__(self, folder: Path) -> None:
        (folder / "policy.yaml").write_text(POLICY)
        self.out, self.metrics = io.StringIO(), Metrics()
        self.log = AuditLog(folder / "audit", "gate-0")
        self.teller = Teller(self.metrics, live=True, out=self.out)
        policy = load_policy(folder / "policy.yaml")
        self.judge = Judge(policy, self.log, Memory(), self.teller, redaction_key=b"key")
        self.judge.desk = self.desk = Approvals(folder / "approvals", self.judge, self.teller.say)
        self.service = Service(self.judge, lambda work: work())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    yield found
    found.desk.close()
    found.log.close()


def test_a_secret_stays_where_it_was(house: House, tmp_path: Path) -> None:
    answers: list[Verdict] = []
    for request in REQUESTS:
        house.judge.decide(request, ACTOR, {"url": f"https://x:{SECRET}@a.test"}, answers.append)
    house.judge.note("flow", {"argv": ["tool", "--password", SECRET]})
    house.judge.fault("gate.peek", ValueError(f"--token={SECRET}"), REQUESTS[0], ACTOR)
    call = json.dumps({"tool": "WebFetch", "arguments": {"url": f"https://u:{SECRET}@a.test/"}})
    told = house.service.answer("POST", "/v1/tool-calls", call.encode(), ACTOR).body
    assert json.loads(told)["action"] == "deny"
    waiting = b"".join(path.read_bytes() for path in (tmp_path / "approvals").glob("*.question"))
    assert waiting.count(b"[redacted:") >= 4
    house.desk.close()
    house.log.close()
    house.teller.summarise("the log")
    written = b"".join(path.read_bytes() for path in (tmp_path / "audit").rglob("*.log"))
    assert written.count(b"[redacted:") >= 20
    assert verify(tmp_path / "audit").chains[0].status == "intact"
    numbers = generate_latest(registry(house.metrics.snapshot))
    answered = list(map(describe, answers))
    for each in (written, waiting, told, numbers, house.out.getvalue(), answered):
        assert SECRET not in str(each)
