"""The gate's side of workshops: who dies takes only its own along, and is replaced."""

import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from firewall.metrics import Metrics
from firewall.proxy import link, workerlink, workshops
from firewall.proxy.handover import Duty, Setup
from firewall.proxy.workerlink import FLOWS_EACH
from firewall.proxy.workers import Staff, Workers
from firewall.proxy.workshops import SharedLink, Workshops
from tests.unit.proxy.stage import Stage, stage
from tests.unit.proxy.test_workers import POLICY
from tests.unit.proxy.test_workers import Process as Fake
from tests.waiting import eventually

DUTY = Duty(1, 1, "", "box", "firewall.sandbox:ActorFinder")


class Process(Fake):
    """Stands in for a workshop; the test speaks at its end of the channel."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__(channel)
        self.workers: list[Fake] = []

    def poll(self) -> int | None:
        return -9 if self.killed else None

    def wait(self, timeout: float | None = None) -> int:
        if timeout is not None and not self.killed:
            raise subprocess.TimeoutExpired("workshop", timeout)
        return -9

    def worker(self) -> Fake:
        """The next worker that it is to take in, with what it is told."""
        self.until("worker")
        channel = socket.socket(fileno=self.fds.pop("worker"))
        made = Fake(channel)
        channel.close()
        self.workers.append(made)
        return made

    def close(self) -> None:
        for each in (self, *self.workers):
            each.channel.close()
            for fd in each.fds.values():
                socket.close(fd)


class Yard:
    """A gate whose one worker is in the first of two workshops, which the test plays."""

    def __init__(self, here: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here = here
        self.processes: list[Process] = []
        self.notes: list[dict[str, Any]] = []
        self.loop = here.gate.loop
        self.metrics = Metrics()
        monkeypatch.setattr(link, "launch", self._launch)
        setups = [Setup("", "/audit", f"gate-0.{number}", "", "") for number in (1, 2)]
        self.shops = self.on_loop(
            lambda: Workshops(self.loop, setups, self.metrics, self.notes.append)
        )
        self.on_loop(self._staff)

    def _staff(self) -> None:
        staff = Staff(DUTY, link=partial(SharedLink, self.shops.place()))
        self.here.gate.workers = Workers(self.here.gate, staff)

    def _launch(self, program: str, channel: socket.socket) -> Process:
        assert program == "firewall.proxy.workshop"
        self.processes.append(Process(channel))
        return self.processes[-1]

    def on_loop(self, act: Any) -> Any:
        done: list[Any] = []
        self.loop.post(lambda: done.append(act()))
        return eventually(lambda: done)[0]

    @property
    def link(self) -> Any:
        return self.here.gate.workers._links[0]

    def ready(self, worker: Fake) -> None:
        worker.say("current", digest=self.here.gate.judge.policy.digest)
        eventually(lambda: self.link.serves)

    def records(self) -> list[dict[str, Any]]:
        return [each for each in self.here.memory.records if each["kind"] == "worker.died"]


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    with stage(tmp_path, POLICY) as here:
        made = Yard(here, monkeypatch)
        yield made
        for each in made.processes:
            each.close()


def test_each_sandbox_is_placed_where_there_are_fewest(yard: Yard) -> None:
    first, second = yard.shops._all
    assert (len(first.links), len(second.links)) == (1, 0)
    assert yard.shops.place() is second
    assert yard.processes[0].until("setup")["chain"] == "gate-0.1"
    begun = yard.processes[0].worker().until("begin")["duty"]
    assert (begun["sandbox"], begun["chain"]) == ("box", "gate-0.1")
    assert begun["first_flow"] == FLOWS_EACH + 1


def test_none_is_placed_where_no_process_runs(yard: Yard) -> None:
    yard.processes[1].kill()
    assert yard.on_loop(yard.shops.place) is yard.shops._all[0]


def test_who_dies_is_replaced_with_its_workers(yard: Yard) -> None:
    worker = yard.processes[0].worker()
    yard.ready(worker)
    yard.processes[0].kill()
    worker.channel.close()
    eventually(lambda: len(yard.processes) == 3)
    (note,) = yard.notes
    assert (note["worker"], note["sandboxes"], note["replaced_in"]) == (1, ["box"], 0.1)
    assert note["reason"] == "worker 1 ended unexpectedly: signal 9"
    (record,) = yard.records()
    assert (record["worker"], record["sandbox"], record["writes"]) == (1, "box", "gate-0.1")
    again = yard.processes[2].worker()
    assert again.until("begin")["duty"]["first_flow"] == 2 * FLOWS_EACH + 1
    yard.ready(again)
    assert [each.restarts for each in yard.shops.states()] == [1, 0]
    assert not yard.processes[1].killed


def test_who_dies_again_and_again_is_replaced_ever_more_slowly(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workerlink, "PAUSES", (0.01, 0.04))
    yard.shops._all[0]._pauses = workerlink.Pauses()
    for number in range(5):
        yard.processes[-1 if number else 0].kill()
        eventually(partial(lambda wanted: len(yard.processes) == wanted, 3 + number))
    assert [each["replaced_in"] for each in yard.notes] == [0.01, 0.02, 0.04, 0.04, 0.04]
    assert len({each["reason"] for each in yard.notes}) == 1


def test_a_worker_that_ends_alone_leaves_the_others_their_process(yard: Yard) -> None:
    worker = yard.processes[0].worker()
    yard.ready(worker)
    worker.channel.close()
    again = yard.processes[0].worker()
    assert not yard.processes[0].killed
    assert not yard.notes
    (record,) = yard.records()
    assert record["reason"] == "worker 1 ended unexpectedly: it has closed its channel"
    yard.ready(again)


def test_a_worker_that_does_not_become_ready_is_killed_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workerlink, "READY_SECONDS", 0.05)
    with stage(tmp_path, POLICY) as here:
        yard = Yard(here, monkeypatch)
        eventually(lambda: yard.processes[0].killed)
        assert not yard.processes[1].killed, "nobody waits for that one"
        for each in yard.processes:
            each.close()


def test_a_process_whose_loop_stands_still_is_killed(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshops, "LOOK_SECONDS", 0.05)
    first, second = yard.processes[:2]
    for each in (first, second):
        each.say("counts", changes={}, audit="ok", waiting=0)
    for _ in range(6):
        first.until("heard")
        first.say("done")
    eventually(lambda: second.killed)
    assert not first.killed


def test_what_is_counted_of_all_ends_with_the_process(yard: Yard) -> None:
    none = [0] * len(Metrics().snapshot().appends.counts), 0
    counted = {"verdicts": [], "flows": {"splicing": 3}, "bytes": {}}
    changes = {**counted, "decisions": none, "appends": none}
    yard.processes[0].say("counts", changes=changes, audit="full", waiting=2)
    eventually(lambda: yard.shops.states()[0].flows == 3)
    assert yard.shops.states()[0].serves
    assert (yard.shops.audit, yard.shops.waiting) == ("full", 2)
    yard.processes[0].kill()
    eventually(lambda: yard.metrics.snapshot().flows["splicing"] == 0)
    assert yard.shops.audit == "ok"


def test_a_worker_that_is_retired_waits_for_no_process(yard: Yard) -> None:
    yard.processes[0].kill()
    eventually(lambda: yard.notes)
    yard.on_loop(yard.here.gate.workers.retire)
    assert yard.here.gate.workers.idle
    assert not yard.shops._all[0].waiting
