"""Dialling: connected, refused, late, cancelled; each told once."""

import socket

import pytest

from firewall.proxy.dial import Dial
from firewall.proxy.loop import Loop

type Told = list[tuple[bool, str]]


def _dial(target: tuple[str, int], *, cancel: bool = False) -> Told:
    loop = Loop()
    told: Told = []

    def done(upstream: socket.socket | None, reason: str) -> None:
        told.append((upstream is not None, reason))
        if upstream is not None:
            assert not upstream.getblocking()
            upstream.close()
        loop.stop()

    dial = Dial(loop, target, done)
    if cancel:
        dial.cancel()
        loop.after(0.1, loop.stop)
    loop.run()
    loop.close()
    return told


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_listener_is_reached(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        assert _dial((host, server.getsockname()[1])) == [(True, "")]


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert _dial(("127.0.0.1", port)) == [(False, "no connection: connection refused")]


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firewall.proxy.dial.DIAL_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        told = _dial(full.getsockname())
        for each in waiting:
            each.close()
    assert told == [(False, "no connection: connection timed out")]


def test_a_cancelled_attempt_tells_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert _dial(server.getsockname(), cancel=True) == []
