"""The node's socket: how many it serves, and of whom."""

import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from firewall.judge import Judge
from firewall.node import server
from firewall.node.config import Peer
from firewall.node.desk import Reply
from firewall.node.requests import Request
from firewall.node.server import SHARE, Server
from firewall.proxy.loop import Loop
from tests.unit.proxy.http.stage import ALLOW, FakeGpu, FakeLog, FakePolicy, Silent


class Door:
    """A server on a loop that is turned by hand, whose clients are whoever `uid` says."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uid = 1000
        monkeypatch.setattr(server, "peer_of", lambda _: Peer(1, self.uid, frozenset()))
        self._path = path
        self._loop = Loop()
        self.log = FakeLog()
        own = Judge(FakePolicy(lambda _: ALLOW), self.log, FakeGpu(), Silent())  # type: ignore[arg-type]
        self._server = Server(self._loop, path, self._serve, own, anyone=True)
        self._clients: list[socket.socket] = []

    def _serve(self, request: Request, peer: Peer, reply: Reply) -> None:
        reply({"served": peer.uid})

    def ask(self) -> bytes:
        """What a new client is told; nothing where it is turned away."""
        client = self.knock()
        self.turn(0.02)
        try:
            return client.recv(1000, socket.MSG_DONTWAIT)
        except ConnectionResetError:
            return b""

    def knock(self) -> socket.socket:
        """A client that has asked, and is not served yet."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(str(self._path))
        client.send(b'{"do": "status"}')
        self._clients.append(client)
        return client

    def turn(self, seconds: float) -> None:
        self._loop.after(seconds, self._loop.stop)
        self._loop.run()

    def leave(self) -> None:
        self._clients.pop().close()

    def close(self) -> None:
        self._server.close()
        self._loop.close()
        for each in self._clients:
            each.close()


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    made = Door(tmp_path / "node.sock", monkeypatch)
    yield made
    made.close()


def test_one_user_cannot_keep_others_out(door: Door) -> None:
    assert {door.ask() for _ in range(SHARE)} == {b'{"served": 1000}'}
    assert door.ask() == b""
    door.uid = 1001
    assert door.ask() == b'{"served": 1001}'
    door.uid = 0
    assert {door.ask() for _ in range(SHARE + 1)} == {b'{"served": 0}'}
    door.uid = 1001
    door.leave()
    assert door.ask() == b'{"served": 1001}'


def test_a_fault_of_the_node_is_a_recorded_refusal(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(point: str) -> None:
        if point == "node.request":
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    assert b"the firewall could not judge this: injected" in door.ask()
    (record,) = door.log.events
    assert record["verdict"]["rule"] == "fail-closed.node.request"
    assert record["actor"]["unknown"] == "asked by uid 1000, pid 1"


def test_without_a_descriptor_left_it_waits(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "PAUSE_SECONDS", 0.05)
    client = door.knock()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), before[1]))
    try:
        door.turn(0.03)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert caplog.messages == ["nobody is served for 0.05 s: Too many open files"]
    door.turn(0.1)
    assert client.recv(100, socket.MSG_DONTWAIT) == b'{"served": 1000}'
