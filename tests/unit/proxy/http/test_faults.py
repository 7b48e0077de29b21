"""Whatever fails, fails closed, and says so in the log."""

import contextlib
import inspect
import re
import socket
from collections.abc import Callable

import httpx
import pytest

from firewall.proxy.http import bodies, egress
from tests.unit.proxy.http.stage import (
    HANDSHAKE,
    LOGIN,
    Stage,
    answering,
    frame,
    get,
    messages,
    read_all,
    swallow,
    websocket,
)
from tests.waiting import PATIENCE


def upload(stage: Stage, door: int) -> None:
    stage.ask(door, method="POST", content=LOGIN)


def fetch(stage: Stage, door: int) -> None:
    stage.ask(door)


def chat(stage: Stage, door: int) -> None:
    with stage.tls(door) as client:
        client.sendall(HANDSHAKE)
        client.recv(65536)
        client.sendall(frame(b"ping"))
        read_all(client)


def mumble(stage: Stage, door: int) -> None:
    with stage.tls(door) as client:
        client.sendall(MALFORMED)
        read_all(client)


def relay(stage: Stage, door: int) -> None:
    with stage.tls(door) as client:
        client.sendall(b"\x00\x01 opening\n")
        read_all(client)


MALFORMED = b"GET https://good.test@evil.test/ HTTP/1.1\r\nHost: good.test\r\n\r\n"
POINTS: dict[str, Callable[[Stage, int], None]] = {
    "client_connected": fetch,
    "next_layer": fetch,
    "requestheaders": fetch,
    "server_connect": fetch,
    "body": upload,
    "sign": fetch,
    "egress_finding": upload,
    "egress_malformed": mumble,
    "responseheaders": fetch,
    "websocket_message": chat,
    "tcp_message": relay,
}
LATER = {"body", "egress_finding", "responseheaders", "websocket_message", "tcp_message"}
"""Points that are reached only after a judged head has gone upstream."""


@pytest.mark.parametrize("point", POINTS)
def test_a_fault_in_a_hook_is_a_recorded_deny(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(here: str) -> None:
        if here == f"http.{point}":
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    with Stage() as stage:
        server = stage.upstream(websocket if point == "websocket_message" else answering())
        with contextlib.suppress(OSError, httpx.TransportError):
            POINTS[point](stage, stage.door(server.port))
        assert f"fail-closed.http.{point}" in stage.rules()
        if point not in LATER:
            assert server.received == b""
        assert LOGIN not in server.received
        assert b"opening" not in server.received
        if point == "websocket_message":
            assert messages(server.received) == b""


def test_a_fault_in_http_connect_is_a_recorded_deny(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(here: str) -> None:
        if here == "http.http_connect":
            raise RuntimeError("injected")

    monkeypatch.setattr("firewall.judge.probe", fault)
    with Stage() as stage:
        door = stage.door(0, kind="forward", address=None, host="", sni=None)
        with socket.create_connection(("127.0.0.1", door), timeout=PATIENCE) as client:
            client.sendall(b"CONNECT good.test:443 HTTP/1.1\r\nHost: good.test:443\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 403 ")
        assert stage.rules() == ["fail-closed.http.http_connect"]


def test_every_guarded_point_has_its_fault() -> None:
    """`late` and the end of a connection let nothing through and refuse nothing."""
    points = set(re.findall(r'self\._guard\("(\w+)"', inspect.getsource(egress)))
    points |= set(re.findall(r'"http\.(\w+)", refuse', inspect.getsource(bodies)))
    assert points - {"late", "client_disconnected"} == set(POINTS) | {"http_connect"}


def test_a_crash_in_mitmproxy_ends_the_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr("firewall.proxy.http.layers.Stream.make_server_connection", crash)
    with Stage() as stage:
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(get())
            assert read_all(client) == b""
        assert server.connections == 0
