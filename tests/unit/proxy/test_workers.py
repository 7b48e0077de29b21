"""The gate's side of its workers: all do what is said to be done, and who does not is killed."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.causes import SHUT
from firewall.deeds import Deed
from firewall.proxy import handover, link, workerlink, workers
from firewall.proxy.handover import Duty
from firewall.proxy.loads import Loads
from firewall.proxy.quotalink import WaitingQuota
from firewall.proxy.workerlink import FLOWS_EACH
from firewall.proxy.workers import Staff, Workers
from firewall.quota import Due, Excess
from firewall.verdict import Limit
from tests.unit.proxy.stage import Stage, stage
from tests.unit.proxy.test_handover import HANDOVER
from tests.waiting import PATIENCE, eventually

POLICY = """
version: 1
name: test
tools:
  rules:
    - {name: no-send, deny: [Send], after: {did: run}}
"""
DUTY = Duty(1, 2, "gate-0", "test", "firewall.sandbox:ActorFinder")
LIMIT = Limit("api", "sent", 100, 60, "rule", "100B/min", "p.yaml:7")
DEED = Deed("run", "/src/x", 5.0)


class Process:
    """Stands in for a worker; the test speaks at its end of the channel."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel.dup()
        self.channel.settimeout(PATIENCE)
        self.pid = id(self)
        self.killed = False
        self.fds: dict[str, int] = {}

    def kill(self) -> None:
        self.killed = True
        self.channel.close()

    def wait(self, timeout: float | None = None) -> int:
        return -9

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next message, with its descriptors kept by name."""
        message = handover.receive(self.channel)
        assert message is not None, "the channel has ended"
        kind, body, fds = message
        names = body.get("descriptors", [kind])
        self.fds |= dict(zip(names, fds, strict=False))
        return kind, body

    def line(self) -> socket.socket:
        """Where it asks what limits leave."""
        return socket.socket(fileno=self.fds.pop("line"))

    def until(self, kind: str) -> dict[str, Any]:
        while (message := self.next())[0] != kind:
            continue
        return message[1]

    def say(self, kind: str, fds: tuple[int, ...] = (), /, **body: Any) -> None:
        handover.send(self.channel, kind, body, fds)


class Bench:
    """A gate on its thread, with two workers that the test plays."""

    def __init__(self, here: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here = here
        self.gate = here.gate
        self.processes: list[Process] = []
        monkeypatch.setattr(link, "launch", self._launch)
        self.on_loop(lambda: setattr(self.gate, "workers", Workers(self.gate, Staff(DUTY))))
        for each in self.processes:
            each.until("setup")
        self.ready(*self.processes)

    def ready(self, *processes: Process) -> None:
        """These processes say that they can serve."""
        serving = sum(each.serves for each in self.gate.workers._links)
        for each in processes:
            each.say("current", digest=self.gate.judge.policy.digest)
        wanted = serving + len(processes)
        eventually(lambda: sum(each.serves for each in self.gate.workers._links) == wanted)

    def _launch(self, program: str, channel: socket.socket) -> Process:
        self.processes.append(Process(channel))
        return self.processes[-1]

    def on_loop(self, act: Any) -> None:
        over = threading.Event()

        def once() -> None:
            act()
            over.set()

        self.gate.loop.post(once)
        assert over.wait(PATIENCE)

    def records(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.here.memory.records if each["kind"] == kind]

    def close(self) -> None:
        for each in self.processes:
            each.channel.close()
            for fd in each.fds.values():
                socket.close(fd)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with stage(tmp_path, POLICY) as here:
        made = Bench(here, monkeypatch)
        yield made
        made.close()


def test_each_has_a_chain_and_numbers_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage(tmp_path, POLICY) as here:
        monkeypatch.setattr(Process, "until", lambda self, kind: None)
        bench = Bench(here, monkeypatch)
        begun = [each.next()[1]["duty"] for each in bench.processes]
        assert [each["chain"] for each in begun] == ["gate-0.1", "gate-0.2"]
        firsts = [FLOWS_EACH + 1, 2 * FLOWS_EACH + 1]
        assert [each["first_flow"] for each in begun] == firsts
        setups = [handover.decode_setup(each.next()[1]) for each in bench.processes]
        assert [each.chain for each in setups] == ["gate-0.1", "gate-0.2"]
        bench.close()


def test_a_cut_is_done_when_the_last_one_has_told_so(bench: Bench) -> None:
    told: list[int] = []
    bench.gate.judge.quarantined = SHUT
    bench.on_loop(lambda: bench.gate.cut(told.append))
    first, second = bench.processes
    rounds = [each.until("cut") for each in (first, second)]
    assert handover.decode_verdict(rounds[0]["shut"]) == SHUT
    first.say("done", round=rounds[0]["round"], count=3)
    first.say("done", round=rounds[0]["round"], count=0)
    first.say("verdict", event={}, seconds=0.0)
    bench.on_loop(lambda: None)
    assert told == []
    second.say("done", round=rounds[1]["round"], count=4)
    eventually(lambda: told)
    assert told == [7]


def test_who_does_not_cut_in_time_is_killed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CUT_SECONDS", 0.05)
    monkeypatch.setattr(workerlink, "PAUSES", (30.0, 30.0))
    told: list[int] = []
    bench.on_loop(lambda: bench.gate.cut(told.append))
    first, second = bench.processes
    first.say("done", round=first.until("cut")["round"], count=1)
    eventually(lambda: told)
    assert (told, first.killed, second.killed) == ([1], False, True)
    (died,) = bench.records("worker.died")
    assert (died["worker"], died["writes"], died["flows"]) == (2, "gate-0.2", 0)


def test_who_does_not_take_a_new_policy_in_is_killed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "TOLD_SECONDS", 0.05)
    monkeypatch.setattr(workerlink, "PAUSES", (30.0, 30.0))
    first, second = bench.processes
    bench.on_loop(bench.gate.update)
    assert first.next()[0] == "setup"
    first.say("done", round=first.until("heard")["round"], count=0)
    eventually(lambda: second.killed)
    assert not first.killed


def test_one_that_dies_is_replaced_with_other_numbers_and_all_it_must_know(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workerlink, "PAUSES", (0.01, 0.01))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        bench.on_loop(lambda: bench.gate.listen("explicit", listener))
        dead = bench.processes[0]
        assert dead.until("listen") == {"kind": "explicit"}
        loads = Loads.of(dead.fds.pop("loads"))
        loads.set(0, 6)
        dead.channel.close()
        eventually(lambda: len(bench.processes) == 3)
        new = bench.processes[2]
        duty = new.until("begin")["duty"]
        assert (duty["chain"], duty["first_flow"]) == ("gate-0.1", 3 * FLOWS_EACH + 1)
        bench.ready(new)
        assert new.until("listen") == {"kind": "explicit"}
        loads.close()
    (died,) = bench.records("worker.died")
    assert (died["flows"], died["reason"]) == (6, "worker 1 ended unexpectedly: signal 9")


def test_one_that_starts_is_not_waited_for_and_serves_only_behind_what_it_was_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CUT_SECONDS", 0.05)
    monkeypatch.setattr(workers, "TOLD_SECONDS", 0.05)
    monkeypatch.setattr(workerlink, "PAUSES", (0.01, 0.01))
    told: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        bench.on_loop(lambda: bench.gate.listen("explicit", listener))
        bench.processes[0].channel.close()
        eventually(lambda: len(bench.processes) == 3)
        _, other, new = bench.processes
        new.until("setup")
        bench.gate.judge.quarantined = SHUT
        bench.on_loop(lambda: bench.gate.cut(told.append))
        other.say("done", round=other.until("cut")["round"], count=2)
        assert eventually(lambda: told) == [2]
        bench.on_loop(bench.gate.update)
        other.say("done", round=other.until("heard")["round"], count=0)
        time.sleep(0.1)
        bench.ready(new)
        heard = [new.next() for _ in range(4)]
        assert [kind for kind, _ in heard] == ["cut", "setup", "heard", "listen"]
        assert handover.decode_verdict(heard[0][1]["shut"]) == SHUT
    assert (new.killed, len(bench.records("worker.died"))) == (False, 1)


def test_what_one_allows_all_others_learn(bench: Bench) -> None:
    first, second = bench.processes
    first.say("deeds", **handover.encode_deeds([DEED]))
    assert handover.decode_deeds(second.until("deeds")) == (DEED,)
    assert bench.gate.judge.done() == (DEED,)
    assert bench.here.depth.told == [(DEED,)]
    bench.on_loop(lambda: bench.gate._reported("deeds", handover.encode_deeds([DEED])))
    assert handover.decode_deeds(first.until("deeds")) == (DEED,), "of depth, not of itself"


def test_a_flow_for_depth_is_given_to_the_one_process(bench: Bench) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        given = handover.encode(HANDOVER)
        bench.processes[0].say("flow", (theirs.fileno(),), **given)
        eventually(lambda: bench.here.depth.given)
        assert bench.here.depth.given == [HANDOVER]


def test_a_fault_with_a_flow_of_a_worker_closes_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(point: str) -> None:
        if point == "workers.flow":
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    ours, theirs = socket.socketpair()
    with ours:
        bench.processes[0].say("flow", (theirs.fileno(),), **handover.encode(HANDOVER))
        theirs.close()
        ours.settimeout(PATIENCE)
        assert ours.recv(1) == b""
    assert bench.here.depth.given == []
    assert bench.here.memory.verdicts() == [("deny", "fail-closed.workers.flow")]


def test_limits_are_counted_in_the_gate_for_all(bench: Bench) -> None:
    told: list[Any] = []
    for each in bench.processes:
        with each.line() as line:
            WaitingQuota(line).charge([Due(LIMIT, "", 60)], told.append)
            assert WaitingQuota(line).left([Due(LIMIT, "", 1)]) == 40
    assert told[0] is None
    assert isinstance(told[1], Excess)
    assert told[1].used == 60


def test_a_fault_where_what_is_left_is_told_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(point: str) -> None:
        if point == "gate.left":
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    with bench.processes[0].line() as line:
        assert WaitingQuota(line).left([Due(LIMIT, "", 1)]) == 0


def test_a_gate_that_does_not_answer_is_asked_no_more() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        quota = WaitingQuota(ours)
        ours.settimeout(0.01)
        for _ in range(2):
            with pytest.raises(OSError, match=r"what its limits leave|Bad file descriptor"):
                quota.left([Due(LIMIT, "", 1)])


def test_the_status_tells_who_judges_by_the_policy_in_force(bench: Bench) -> None:
    digest = bench.gate.judge.policy.digest
    bench.processes[0].say("current", digest=digest)
    bench.processes[1].say("current", digest="another")
    eventually(lambda: bench.gate.status()["workers_current"] == 1)
    status = bench.gate.status()
    assert (status["workers"], status["worker_flows"], status["worker_restarts"]) == (2, [0, 0], 0)
    assert status["worker_pids"] == [each.pid for each in bench.processes]


def test_without_workers_a_cut_is_done_at_once(tmp_path: Path) -> None:
    with stage(tmp_path, POLICY) as here:
        told: list[int] = []
        here.gate.cut(told.append)
        assert told == [0]
        assert here.gate.status() == {}
