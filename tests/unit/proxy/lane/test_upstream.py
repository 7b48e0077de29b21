"""Connections to servers, and the sessions of TLS that they resume."""

import ssl
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from firewall.proxy.lane.upstream import SESSION_SECONDS, Place, Upstream, Upstreams
from firewall.proxy.loop import Loop

PLACE = Place("192.0.2.1", 443, "a.test")


class Looked:
    """A connection whose session is looked at: each look leaks in CPython."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def session(self) -> ssl.SSLSession:
        self.looks += 1
        return cast("ssl.SSLSession", SimpleNamespace(has_ticket=True, number=self.looks))


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_a_session_is_looked_at_once_a_while(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    house, stream = Upstreams(loop, ""), Looked()
    connection = Upstream(cast("Any", stream), PLACE)
    for _ in range(3):
        house.remember(connection)
    first = house.session(PLACE)
    assert (stream.looks, first is not None) == (1, True)
    clock[0] += SESSION_SECONDS
    house.remember(connection)
    assert stream.looks == 2
    assert house.session(PLACE) is not first
    assert house.session(PLACE._replace(port=444)) is None
