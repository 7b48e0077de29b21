"""What a worker reports reaches its gate in order, with the sockets that it gives away."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from firewall.proxy import handover, upward
from firewall.proxy.loop import READ, WRITE, Loop
from firewall.proxy.upward import Upward
from tests.unit.proxy.test_handover import HANDOVER
from tests.waiting import PATIENCE


class Line:
    """A worker's end of a channel, on its loop, and the gate's."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.gate, self._worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.gate.settimeout(PATIENCE)
        self._worker.setblocking(False)
        self.up = Upward(self.loop, self._worker, self.loop.stop)
        self.loop.watch(self._worker.fileno(), READ, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self.up.flush()

    def turn(self) -> None:
        self.loop.after(0.02, self.loop.stop)
        self.loop.run()

    def next(self) -> tuple[str, dict[str, Any], list[int]]:
        self.turn()
        message = handover.receive(self.gate)
        assert message is not None
        return message

    def close(self) -> None:
        self.loop.close()
        self.gate.close()
        self._worker.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def test_a_flow_goes_up_with_its_socket(line: Line) -> None:
    client, inner = socket.socketpair()
    with client:
        assert line.up.give(HANDOVER, inner)
        assert inner.fileno() < 0, "our copy is closed"
        kind, body, (fd,) = line.next()
        assert (kind, handover.decode(body)) == ("flow", HANDOVER)
        with socket.socket(fileno=fd) as given:
            client.sendall(b"x")
            assert given.recv(1) == b"x"


def test_more_flows_than_may_wait_are_refused(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upward, "BACKLOG", 0)
    client, inner = socket.socketpair()
    with client, inner:
        assert not line.up.give(HANDOVER, inner)
        assert inner.fileno() >= 0, "whoever asked closes it"


def test_where_too_much_waits_only_verdicts_are_dropped(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upward, "REPORTS", 100)
    for number in range(200):
        line.up.say("verdict", {"number": number, "long": "x" * 20_000})
    line.up.say("quarantine", {"rule": "guards.mining"})
    kinds = [line.next()[0]]
    while kinds[-1] == "verdict":
        kinds.append(line.next()[0])
    assert kinds[-1] == "quarantine"
    assert 100 < len(kinds) < 200


def test_a_gate_that_cannot_be_told_ends_the_worker(line: Line) -> None:
    line.gate.close()
    line.up.say("quarantine", {"rule": "guards.mining"})
    line.loop.run()
