"""Between the lane and depth: how long a client may leave what was sent to it."""

import threading

import pytest

from firewall.proxy.lane import lane, visit
from tests.unit.proxy.http.stage import HANDSHAKE, answering, frame, until, websocket
from tests.unit.proxy.lane.stage import LaneStage

OLD = b"GET / HTTP/1.0\r\nHost: good.test\r\n\r\n"
"""A request that the lane leaves to depth."""


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> LaneStage:
    monkeypatch.setattr(lane, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(visit, "IDLE_SECONDS", 0.5)
    return LaneStage()


def test_a_bridged_client_that_never_reads_is_cut(stage: LaneStage) -> None:
    body = bytes(16 << 20)
    with stage, stage.tls(stage.door(stage.upstream(answering(body)).port)) as client:
        client.sendall(OLD)
        carried = stage.wait_ended()
        assert stage.deep
        assert 0 < carried.received < len(body)


def test_a_bridged_client_that_reads_gets_all(stage: LaneStage) -> None:
    body = bytes(8 << 20)
    with stage, stage.tls(stage.door(stage.upstream(answering(body)).port)) as client:
        client.sendall(OLD)
        received = 0
        while piece := client.recv(1 << 16):
            received += len(piece)
        assert received > len(body)


def test_a_bridged_client_may_be_silent(stage: LaneStage) -> None:
    with stage, stage.tls(stage.door(stage.upstream(websocket).port)) as client:
        client.sendall(HANDSHAKE)
        assert until(client, b"\r\n\r\n")
        threading.Event().wait(1)
        client.sendall(frame(b"ping"))
        assert until(client, b"pong")
