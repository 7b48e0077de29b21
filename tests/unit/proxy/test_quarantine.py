"""A quarantine closes what is open and what comes, says so, and opens only when it is told to."""

import contextlib
import queue
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.causes import Cause
from firewall.metrics import Metrics
from firewall.proxy.flow import Flow
from firewall.proxy.quarantine import Quarantine
from firewall.verdict import Verdict
from tests.e2e.servers import RawServer
from tests.unit.proxy.stage import Stage, stage
from tests.waiting import PATIENCE, eventually

POLICY = """
version: 1
name: test
extends: [base]
guards: {{on-critical: {follows}}}
network:
  names: {{web.test: 127.0.0.1, db.test: 127.0.0.1}}
  rules:
    - {{name: plain, allow: http, hosts: [web.test], addresses: [127.0.0.1/32]}}
    - {{name: db, allow: tcp, hosts: [db.test], ports: [{port}], addresses: [127.0.0.1/32]}}
"""
STRATUM = b'{"id":1,"method":"mining.subscribe","params":[]}\n'
HTTP = b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"
BINARY = b"\x00\x01\x02\x03"


@dataclass
class Processes:
    """Three processes that stop and go on when told to; with `trouble` they cannot be reached."""

    frozen: bool = False
    trouble: str = ""
    knows_any: bool = True

    def freeze(self, done: Callable[[int, str], None]) -> None:
        self.frozen = True
        done(3, self.trouble)

    def thaw(self, done: Callable[[int, str], None]) -> None:
        self.frozen = False
        done(3, "")


@dataclass
class Prison:
    """A gate with a quarantine, and what it told."""

    stage: Stage
    port: int
    processes: Processes = field(default_factory=Processes)
    told: list[str] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.quarantine = Quarantine(
            self.stage.gate, "run-1", self.told.append, self._end, self.processes
        )

    def _end(self) -> None:
        self.ended.append(True)
        self.stage.gate.loop.stop()

    def relay(self) -> socket.socket:
        """The client of an allowed flow that is relayed."""
        client = self.stage.open("db.test", self.port)
        client.sendall(BINARY)
        assert client.recv(10) == BINARY
        return client

    def attack(self) -> bytes:
        client = self.stage.open("db.test", self.port)
        client.sendall(STRATUM)
        return closed(client)

    def ask(self, act: Callable[[Callable[[dict[str, Any]], None]], None]) -> dict[str, Any]:
        answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.stage.gate.loop.post(lambda: act(answers.put))
        return answers.get(timeout=PATIENCE)

    def release(self) -> dict[str, Any]:
        return self.ask(lambda reply: self.quarantine.release("uid 1, pid 2", reply))

    def impose(self, *, freeze: bool = False) -> dict[str, Any]:
        def act(reply: Callable[[dict[str, Any]], None]) -> None:
            self.quarantine.impose("uid 1, pid 2", freeze=freeze, reply=reply)

        return self.ask(act)

    def impose_unanswered(self) -> None:
        """Impose it where nobody may be left to answer."""
        cause = Cause("by-hand", "somebody asked")
        self.stage.gate.loop.post(lambda: self.stage.gate.judge.quarantine(cause))

    def first(self, kind: str) -> dict[str, Any]:
        """The first record of a kind, once it is there: a flow is cut before that is recorded."""
        return eventually(lambda: self.records(kind))[0]

    def records(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.stage.memory.records if each["kind"] == kind]


def closed(client: socket.socket) -> bytes:
    received = b""
    client.settimeout(PATIENCE)
    with client, contextlib.suppress(ConnectionResetError):
        while data := client.recv(4096):
            received += data
    return received


@pytest.fixture
def server() -> Iterator[RawServer]:
    made = RawServer()
    yield made
    made.close()


@pytest.fixture(params=["quarantine"])
def prison(tmp_path: Path, server: RawServer, request: pytest.FixtureRequest) -> Iterator[Prison]:
    text = POLICY.format(port=server.port, follows=request.param)
    with stage(tmp_path, text) as made:
        yield Prison(made, server.port)


def fault_in(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(reached: str) -> None:
        if reached == point:
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)


def test_every_open_flow_is_cut_and_what_comes_is_refused(
    prison: Prison, server: RawServer
) -> None:
    relayed = [prison.relay() for _ in range(3)]
    web = prison.stage.open("web.test", 80)
    web.sendall(HTTP)
    eventually(lambda: prison.stage.depth.given)
    assert prison.attack() == b""
    assert [closed(each) for each in (*relayed, web)] == [b""] * 4
    received = len(server.received)
    late = prison.stage.open("db.test", server.port)
    late.sendall(BINARY)
    assert closed(late) == b""
    assert len(server.received) == received
    record = prison.first("quarantine")
    assert (record["state"], record["by"], record["flows"]) == ("quarantined", "the policy", 4)
    assert record["trigger"]["verdict"]["rule"] == record["rule"] == "guards.mining"
    (line,) = eventually(lambda: prison.told)
    assert line.endswith("to open it again: firewall sandbox release run-1")
    assert "guards.mining: stratum: JSON-RPC method mining.subscribe" in line
    assert prison.stage.gate.metrics.snapshot().state == "quarantined"


def test_http_clients_are_told_by_the_next_depth_process(prison: Prison) -> None:
    prison.attack()
    prison.first("quarantine")
    with prison.stage.open("web.test", 80) as client:
        client.sendall(HTTP)
        (given,) = eventually(lambda: prison.stage.depth.given)
    assert (given.kind, given.verdict.rule) == ("refuse", "quarantine")
    assert prison.stage.gate.setup().quarantined == given.verdict


def test_a_flow_that_is_about_to_be_allowed_is_refused(
    prison: Prison, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its allow is recorded already when the door is shut."""
    go_on = Flow._go_on

    def late(flow: Flow, *rest: Any) -> None:
        if prison.stage.gate.judge.quarantined is None:
            prison.stage.gate.judge.quarantine(Cause("by-hand", "somebody asked"))
        go_on(flow, *rest)

    monkeypatch.setattr(Flow, "_go_on", late)
    client = prison.stage.open("db.test", server.port)
    client.sendall(BINARY)
    assert closed(client) == b""
    assert prison.stage.memory.verdicts() == [("allow", "db")]
    assert server.received == []


def test_a_flow_that_is_being_connected_is_cut(
    prison: Prison, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Flow._connect_upstream

    def late(flow: Flow, verdict: Verdict) -> None:
        connect(flow, verdict)
        prison.stage.gate.judge.quarantine(Cause("by-hand", "somebody asked"))

    monkeypatch.setattr(Flow, "_connect_upstream", late)
    client = prison.stage.open("db.test", server.port)
    client.sendall(BINARY)
    assert closed(client) == b""
    assert server.received == []


def test_what_the_depth_process_saw_closes_everything(prison: Prison) -> None:
    relayed = prison.relay()
    body = asdict(Cause("guards.mining", "stratum", trigger={"verdict": {}}))
    prison.stage.gate.loop.post(lambda: prison.stage.gate._reported("quarantine", body))
    assert closed(relayed) == b""
    assert prison.first("quarantine")["rule"] == "guards.mining"


def test_a_report_that_cannot_be_read_closes_everything(
    prison: Prison, monkeypatch: pytest.MonkeyPatch
) -> None:
    relayed = prison.relay()
    fault_in("gate.quarantine", monkeypatch)
    prison.stage.gate.loop.post(lambda: prison.stage.gate._reported("quarantine", {}))
    assert closed(relayed) == b""
    assert prison.first("quarantine")["rule"] == "fail-closed.gate.quarantine"


def test_the_release_opens_for_what_comes_and_brings_nothing_back(prison: Prison) -> None:
    cut = prison.relay()
    prison.attack()
    assert closed(cut) == b""
    answer = prison.release()
    assert (answer["state"], answer["why"]) == ("running", "")
    with prison.relay():
        assert prison.stage.gate.setup().quarantined is None
    (record,) = prison.records("release")
    assert (record["by"], record["was"]) == ("uid 1, pid 2", "quarantined")
    assert record["rule"] == "guards.mining"
    assert prison.stage.gate.metrics.snapshot().state == "running"
    assert prison.told[-1].endswith("egress is open again, released by uid 1, pid 2")
    assert prison.release() == {"error": "run-1 is in no quarantine"}


def test_by_hand(prison: Prison) -> None:
    relayed = prison.relay()
    answer = prison.impose()
    assert (answer["state"], answer["name"], answer["policy"]) == ("quarantined", "run-1", "test")
    assert answer["why"] == "by-hand: uid 1, pid 2 asked for it"
    assert closed(relayed) == b""
    (record,) = prison.records("quarantine")
    assert (record["by"], record["trigger"]) == ("uid 1, pid 2", None)
    assert not prison.processes.frozen
    assert prison.impose(freeze=True)["state"] == "frozen"
    assert prison.processes.frozen
    assert prison.quarantine.freezing
    assert prison.release()["state"] == "running"
    assert not prison.processes.frozen
    assert not prison.quarantine.freezing


@pytest.mark.parametrize("prison", ["freeze"], indirect=True)
def test_processes_are_stopped_once_everything_is_closed(prison: Prison) -> None:
    prison.attack()
    eventually(lambda: len(prison.records("quarantine")) == 2)
    closing, frozen = prison.records("quarantine")
    assert (closing["state"], frozen["state"], frozen["processes"]) == ("quarantined", "frozen", 3)
    eventually(lambda: prison.stage.gate.metrics.snapshot().state == "frozen")
    eventually(lambda: prison.told[-1].endswith("its 3 processes are stopped"))


def test_processes_that_cannot_be_stopped_leave_it_closed(
    prison: Prison, server: RawServer
) -> None:
    prison.processes.trouble = "not every process could be reached: no"
    assert prison.impose(freeze=True)["state"] == "quarantined"
    assert prison.records("quarantine")[-1]["trouble"] == prison.processes.trouble
    assert prison.told[-1].endswith(prison.processes.trouble)
    client = prison.stage.open("db.test", server.port)
    client.sendall(BINARY)
    assert closed(client) == b""


def test_without_a_sandbox_no_process_is_stopped(prison: Prison) -> None:
    prison.quarantine._freezer = None
    assert prison.impose(freeze=True)["state"] == "quarantined"
    assert prison.told[-1].endswith("only those of a sandbox can be stopped")
    assert prison.release()["state"] == "running"


@pytest.mark.parametrize("prison", ["freeze"], indirect=True)
def test_nothing_is_said_to_be_done_before_other_processes_have_cut(
    prison: Prison, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutting: list[Callable[[int], None]] = []
    monkeypatch.setattr(prison.stage.gate.workers, "cut", cutting.append)
    relayed = prison.relay()
    prison.impose_unanswered()
    assert closed(relayed) == b"", "its own flows are cut at once"
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    post = prison.stage.gate.loop.post
    post(lambda: prison.quarantine.impose("uid 1", freeze=True, reply=answers.put))
    eventually(lambda: cutting)
    prison.ask(lambda reply: reply({}))
    post(lambda: prison.quarantine.release("uid 1", answers.put))
    prison.ask(lambda reply: reply({}))
    assert (answers.qsize(), prison.told, prison.processes.frozen) == (0, [], False)
    post(lambda: cutting[0](5))
    assert answers.get(timeout=PATIENCE)["state"] == "frozen"
    assert prison.first("quarantine")["flows"] == 6
    assert answers.get(timeout=PATIENCE)["state"] == "running"


@pytest.mark.parametrize("point", ["quarantine.begin", "quarantine.cut", "gate.cut"])
def test_a_fault_in_the_cutting_ends_the_firewall_and_opens_nothing(
    prison: Prison, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    relayed = prison.relay()
    fault_in(point, monkeypatch)
    prison.impose_unanswered()
    eventually(lambda: prison.ended)
    assert prison.stage.gate.judge.quarantined is not None
    assert ("deny", f"fail-closed.{point}") in prison.stage.memory.verdicts()
    monkeypatch.undo()
    prison.stage.gate.close()
    assert closed(relayed) == b""


def test_one_flow_that_cannot_be_cut_does_not_save_the_others(
    prison: Prison, monkeypatch: pytest.MonkeyPatch
) -> None:
    relayed = [prison.relay() for _ in range(3)]
    abort, faults = Flow.abort, iter([RuntimeError("injected")])

    def once(flow: Flow) -> None:
        for fault in faults:
            raise fault
        abort(flow)

    monkeypatch.setattr(Flow, "abort", once)
    prison.impose_unanswered()
    eventually(lambda: prison.ended)
    assert len(prison.stage.gate._flows) == 1, "and that one ends with the firewall"
    prison.stage.gate.close()
    assert [closed(each) for each in relayed] == [b""] * 3


def test_a_fault_in_the_release_leaves_it_closed(
    prison: Prison, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prison.impose()
    fault_in("quarantine.open", monkeypatch)
    assert "could not judge" in prison.release()["error"]
    assert prison.stage.gate.judge.quarantined is not None
    client = prison.stage.open("db.test", server.port)
    client.sendall(BINARY)
    assert closed(client) == b""
    monkeypatch.undo()
    assert prison.release()["state"] == "running"


def test_nothing_is_released_without_a_record(prison: Prison) -> None:
    prison.impose()
    prison.stage.memory.full = True
    assert "No space left on device" in prison.release()["error"]
    assert prison.stage.gate.judge.quarantined is not None


def test_metrics_begin_with_a_running_sandbox() -> None:
    assert Metrics().snapshot().state == "running"
