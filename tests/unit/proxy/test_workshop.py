"""A workshop's workers begin and end alone, and all with it."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.policy import load_policy
from firewall.proxy import handover
from firewall.proxy.handover import Duty, Setup
from firewall.proxy.loads import Loads
from firewall.proxy.shop import Shop
from firewall.proxy.workshop import Workshop
from firewall.sandbox import Authority
from firewall.vault import Vault
from tests.waiting import PATIENCE, eventually


class Line:
    """The gate's end of one worker."""

    def __init__(self, setup: Setup, sandbox: str) -> None:
        self.channel, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(PATIENCE)
        self.setup = setup
        finder = "tests.unit.proxy.test_worker:Nobody"
        self.duty = Duty(1, 1, setup.chain, sandbox, finder, namespace=id(self))
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.loads = Loads(1)
        self._fds = {"line": theirs.detach(), "loads": self.loads.descriptor}

    def begin(self, **changed: Any) -> None:
        body = {"duty": asdict(self.duty), "descriptors": list(self._fds)}
        handover.send(self.channel, "begin", body, tuple(self._fds.values()))
        handover.send(self.channel, "setup", {**asdict(self.setup), **changed})
        socket.close(self._fds["line"])

    def next(self) -> tuple[str, dict[str, Any]] | None:
        message = handover.receive(self.channel)
        return None if message is None else message[:2]

    def close(self) -> None:
        for each in (self.channel, self.theirs, self.line, self.loads):
            each.close()


class Room:
    """A workshop on a thread, and the gate's end of its channel."""

    def __init__(self, folder: Path) -> None:
        (folder / "audit").mkdir()
        self.setup = Setup(
            policy=load_policy("base").dump(),
            audit=str(folder / "audit"),
            chain="gate-0.1",
            authority=str(Authority.ensure(folder / "authority").directory),
            upstream_ca="",
            vault=Vault().dump(),
        )
        self.channel, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(PATIENCE)
        self.shop = Shop(folder / "audit", self.setup.chain)
        self.lines: list[Line] = []
        self._thread = threading.Thread(target=Workshop(self._theirs, self.shop).run)
        self._thread.start()

    def worker(self, sandbox: str, **changed: Any) -> Line:
        made = Line(self.setup, sandbox)
        self.lines.append(made)
        made.begin(**changed)
        handover.send(self.channel, "worker", {}, (made.theirs.fileno(),))
        made.theirs.close()
        return made

    def close(self) -> None:
        self.channel.shutdown(socket.SHUT_WR)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        for each in self.lines:
            each.close()
        self.channel.close()
        self._theirs.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def begun(line: Line) -> bool:
    message = line.next()
    return message is not None and message[0] == "current"


def test_a_worker_whose_channel_ends_leaves_the_others_to_work(room: Room) -> None:
    first, second = room.worker("a"), room.worker("b")
    assert begun(first)
    assert begun(second)
    assert sorted(room.shop.sandboxes.values()) == ["a", "b"]
    first.channel.shutdown(socket.SHUT_WR)
    assert first.next() is None
    eventually(lambda: list(room.shop.sandboxes.values()) == ["b"])
    handover.send(second.channel, "heard", {"round": 3})
    assert second.next() == ("done", {"round": 3, "count": 0})


def test_one_that_cannot_begin_ends_alone(room: Room) -> None:
    assert room.worker("a", policy="nonsense").next() is None
    assert begun(room.worker("b"))


def test_one_that_is_told_nothing_ends_alone(room: Room) -> None:
    made = Line(room.setup, "a")
    room.lines.append(made)
    handover.send(room.channel, "worker", {}, (made.theirs.fileno(),))
    made.theirs.close()
    made.channel.shutdown(socket.SHUT_WR)
    assert made.next() is None
    assert begun(room.worker("b"))


def test_one_that_fails_ends_alone(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = room.worker("a"), room.worker("b")
    assert begun(first)
    assert begun(second)
    faults = iter([True])

    def fault(at: str) -> None:
        if at == "worker.message" and next(faults, False):
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    handover.send(first.channel, "heard", {"round": 1})
    told = []
    while (message := first.next()) is not None:
        told.append(message[0])
    assert "done" not in told
    handover.send(second.channel, "heard", {"round": 2})
    assert second.next() == ("done", {"round": 2, "count": 0})


def test_it_says_that_it_hears_and_ends_with_its_channel(room: Room) -> None:
    worker = room.worker("a")
    assert begun(worker)
    handover.send(room.channel, "heard", {})
    while (message := handover.receive(room.channel)) is not None and message[0] != "done":
        continue
    assert message is not None
    room.channel.shutdown(socket.SHUT_WR)
    assert worker.next() is None
