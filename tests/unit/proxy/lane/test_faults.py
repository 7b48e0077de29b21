"""Whatever fails on the lane, fails closed, and says so in the log."""

import contextlib
import gzip
import inspect
import re
import socket
from collections.abc import Callable

import httpx
import pytest

from firewall.proxy.http import watching
from firewall.proxy.lane import bridge, exchange, judging, visit
from tests.unit.proxy.http.stage import HANDSHAKE, LOGIN, answering, get, read_all
from tests.unit.proxy.lane.stage import LaneStage
from tests.waiting import eventually


def fetch(stage: LaneStage, door: int) -> None:
    stage.ask(door)


def upload(stage: LaneStage, door: int) -> None:
    stage.ask(door, method="POST", content=LOGIN)


def upload_packed(stage: LaneStage, door: int) -> None:
    packed = gzip.compress(b" " * (1 << 20) + LOGIN)
    stage.ask(door, method="POST", content=packed, headers={"content-encoding": "gzip"})


def upgrade(stage: LaneStage, door: int) -> None:
    with stage.tls(door) as client:
        client.sendall(HANDSHAKE)
        read_all(client)


def dawdle(stage: LaneStage, door: int) -> None:
    with stage.tls(door) as client:
        client.sendall(b"GET / HT")
        read_all(client)


POINTS: dict[str, Callable[[LaneStage, int], None]] = {
    "lane.start": fetch,
    "lane.certified": fetch,
    "lane.read": fetch,
    "lane.verdict": fetch,
    "lane.reached": fetch,
    "lane.answer": fetch,
    "lane.message": upload,
    "lane.look": upload_packed,
    "lane.bridge": upgrade,
    "lane.late": dawdle,
    "lane.another": fetch,
}


@pytest.mark.parametrize("point", POINTS)
def test_a_fault_on_the_lane_is_a_recorded_deny(
    point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(here: str) -> None:
        if here == point:
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    monkeypatch.setattr(watching, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(visit, "FIRST_SECONDS", 1 if point == "lane.late" else 10)
    with LaneStage() as stage:
        server = stage.upstream(answering(b"secret"))
        with contextlib.suppress(OSError, httpx.TransportError):
            # Where nobody listens, another address is asked for.
            address = "127.0.0.2" if point == "lane.another" else "127.0.0.1"
            POINTS[point](stage, stage.door(server.port, address=address))
        # The server may answer before the request's body is judged.
        assert eventually(lambda: f"fail-closed.{point}" in stage.rules())
        assert LOGIN not in server.received
        # On the bridge depth has judged it once more.
        if point not in {"lane.answer", "lane.message", "lane.look", "lane.bridge"}:
            assert server.received == b""


def test_a_fault_after_the_verdict_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(here: str) -> None:
        if here == "lane.reached":
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    with LaneStage() as stage:
        answer = stage.ask(stage.door(stage.upstream(answering()).port))
        assert answer.status_code == 403
        assert answer.headers["x-firewall-rule"] == "fail-closed.lane.reached"


def test_a_fault_is_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(here: str) -> None:
        if here == "lane.verdict":
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    with LaneStage() as stage, stage.tls(stage.door(stage.upstream(answering()).port)) as client:
        client.settimeout(2)
        client.sendall(get() * 2)
        assert read_all(client).count(b"HTTP/1.1 403") == 1
        assert stage.rules().count("fail-closed.lane.verdict") == 1


def test_a_record_that_cannot_be_written_lets_nothing_through() -> None:
    with LaneStage() as stage:
        server = stage.upstream(answering())
        stage.log.broken = True
        assert stage.ask(stage.door(server.port)).status_code == 403
        assert server.connections == 0


def test_every_guarded_point_has_its_fault() -> None:
    sources = "".join(map(inspect.getsource, (visit, exchange, bridge, judging)))
    points = set(re.findall(r'probe\("(lane\.\w+)"\)', sources))
    assert points == set(POINTS)


def _read_raw(client: socket.socket) -> None:
    while socket.socket.recv(client, 65536):
        pass


def test_a_flow_that_is_cut_is_reset() -> None:
    with LaneStage() as stage:
        server = stage.upstream(answering())
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(b"GET / HT")
            (visited,) = stage.visits
            stage.gate.post(visited.abort)
            with pytest.raises(ConnectionResetError):
                _read_raw(client)
