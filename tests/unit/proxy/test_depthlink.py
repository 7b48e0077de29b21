"""The gate's end of the depth process: what is sent, in which order, and what its failures end."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from firewall.actor import Process
from firewall.deeds import Deed
from firewall.proxy import handover, link
from firewall.proxy.depthlink import DepthLink
from firewall.proxy.handover import Setup
from firewall.proxy.loop import Loop
from tests.unit.proxy.test_handover import HANDOVER
from tests.waiting import PATIENCE

SETUP = Setup("first", "/log", "depth-0", "/authority", "")


class Child:
    """Stands in for the depth process, whose end of the channel the test holds."""

    def kill(self) -> None:
        """Nothing runs."""

    def wait(self, timeout: float | None = None) -> int:
        return 0


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = Loop()
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.setup = SETUP
        self.starts: list[socket.socket] = []
        self.fails = False
        monkeypatch.setattr(link, "launch", self._launch)
        self.link = DepthLink(self.loop, lambda: self.setup, self._report)

    def _launch(self, program: str, channel: socket.socket) -> Child:
        if self.fails:
            raise OSError(24, "Too many open files")
        self.starts.append(channel.dup())
        return Child()

    def _report(self, kind: str, body: dict[str, Any]) -> None:
        self.reports.append((kind, body))

    def give(self, argument: str = "") -> socket.socket:
        """Hand a flow over; the client's end."""
        client, inner = socket.socketpair()
        process = Process(11, 2.5, "/usr/bin/python3", ("python3", "-c", argument), 1000)
        flow = replace(HANDOVER, actor=replace(HANDOVER.actor, process=process))
        self.link.give(flow, inner)
        client.settimeout(PATIENCE)
        return client

    def receive(self) -> tuple[str, dict[str, Any]]:
        """The next message; its descriptors are closed."""
        message = handover.receive(self.starts[-1])
        assert message is not None
        for descriptor in message[2]:
            socket.close(descriptor)
        return message[0], message[1]

    def turn(self) -> None:
        self.loop.after(0.05, self.loop.stop)
        self.loop.run()

    def close(self) -> None:
        self.link.close()
        for each in self.starts:
            each.close()
        self.loop.close()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(monkeypatch)
    yield made
    made.close()


@pytest.mark.parametrize("size", [70_000, 500_000], ids=["beyond a message", "beyond the socket"])
def test_an_endless_command_line_harms_no_other_flow(bench: Bench, size: int) -> None:
    with bench.give("x" * size), bench.give("short"):
        assert bench.receive()[0] == "setup"
        kind, body = bench.receive()
        assert (kind, len(handover.decode(body).actor.process.argv[2])) == ("flow", size)  # type: ignore[union-attr]
        kind, body = bench.receive()
        assert (kind, body["actor"]["process"]["argv"][2]) == ("flow", "short")
    assert bench.reports == [], "the process goes on"


def test_a_new_policy_waits_for_a_full_queue_and_comes_before_further_flows(bench: Bench) -> None:
    clients = [bench.give("x" * 60_000) for _ in range(20)]
    bench.setup = replace(SETUP, policy="second")
    bench.link.update()
    policy = ""
    told: list[str] = []
    while len(told) < len(clients):
        kind, body = bench.receive()
        policy = body["policy"] if kind == "setup" else policy
        told += [policy] if kind == "flow" else []
        bench.turn()
    assert told[0] == "first", "the queue was full before the policy changed"
    assert told[-1] == "second", "what waited behind it is judged by the new policy"
    assert bench.reports == []
    for client in clients:
        client.close()


def test_what_was_done_is_told_before_further_flows_and_to_no_process_that_starts_later(
    bench: Bench,
) -> None:
    deed = Deed("download", "/src/x", 5.0)
    bench.link.tell((deed,))
    with bench.give():
        assert [bench.receive()[0], bench.receive()[0]] == ["setup", "flow"]
    bench.link.tell((deed,))
    with bench.give():
        kind, body = bench.receive()
        assert (kind, handover.decode_deeds(body)) == ("deeds", (deed,))
        assert bench.receive()[0] == "flow"


def test_a_process_that_cannot_be_started_ends_the_flow_and_not_the_next(bench: Bench) -> None:
    bench.fails = True
    with bench.give() as client:
        assert client.recv(1) == b"", "the flow has ended"
    assert bench.reports == [("died", {})]
    bench.fails = False
    with bench.give("next"):
        assert [bench.receive()[0], bench.receive()[0]] == ["setup", "flow"]


def test_a_retired_process_ends_with_all_flows_on_their_way(bench: Bench) -> None:
    with bench.give() as sent:
        waiting = [bench.give("x" * 60_000) for _ in range(20)]
        bench.link.retire()
        bench.link.retire()
        assert waiting[-1].recv(1) == b"", "what waited for the process has ended at once"
        kinds = []
        while (message := handover.receive(bench.starts[0])) is not None:
            kinds.append(message[0])
            for descriptor in message[2]:
                socket.close(descriptor)
        assert kinds[:2] == ["setup", "flow"], "then the channel ends behind what was sent"
        assert sent.recv(1) == b""
    for each in waiting:
        each.close()
    assert bench.reports == []


def test_what_a_retired_process_still_reports_is_heard(bench: Bench) -> None:
    with bench.give():
        bench.link.retire()
        handover.send(bench.starts[0], "closed", {"flow": 1})
        bench.turn()
        assert bench.reports == [("closed", {"flow": 1})]


def test_the_next_process_starts_only_when_the_retired_one_is_gone(bench: Bench) -> None:
    with bench.give("before"), bench.give("too"):
        bench.link.retire()
        bench.setup = replace(SETUP, policy="in quarantine")
        with bench.give("after"):
            bench.link.update()
            bench.turn()
            assert len(bench.starts) == 1, "both would write the same chain"
            bench.starts.pop(0).close()
            bench.turn()
            assert bench.reports == [("retired", {"waiting": 1})], "no death, and one flow waits"
            kind, body = bench.receive()
            assert (kind, body["policy"]) == ("setup", "in quarantine")
            kind, body = bench.receive()
            assert body["actor"]["process"]["argv"][2] == "after"


def test_a_retired_process_that_does_not_end_is_killed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "RETIRE_SECONDS", 0)
    killed: list[bool] = []
    monkeypatch.setattr(Child, "kill", lambda self: killed.append(True))
    with bench.give():
        bench.link.retire()
        bench.turn()
        assert killed == [True]


def test_without_a_process_there_is_nothing_to_retire(bench: Bench) -> None:
    bench.link.retire()
    with bench.give("first"):
        assert [bench.receive()[0], bench.receive()[0]] == ["setup", "flow"]
