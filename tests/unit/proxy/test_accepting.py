"""Connections are taken as they come; among workers, by those who have the fewest flows."""

import os
import socket
from collections.abc import Iterator

import pytest

from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy.accepting import Accepting, Sharing
from firewall.proxy.loads import Loads
from firewall.proxy.loop import Loop
from tests.unit.proxy.stage import Memory
from tests.waiting import PATIENCE


class Entrance:
    """A listener with clients that wait, and who has taken them."""

    def __init__(self) -> None:
        memory = Memory()
        self.loop = Loop()
        self.judge = Judge(load_policy("base"), memory, memory, memory)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.taken: list[str] = []
        self.full = False
        self._clients: list[socket.socket] = []

    def come(self, number: int) -> None:
        place = self.listener.getsockname()
        self._clients += [socket.create_connection(place, PATIENCE) for _ in range(number)]

    def serve(self, name: str, accepting: Accepting) -> None:
        listener = self.listener.dup()
        self._clients.append(listener)

        def arrived(client: socket.socket, address: object) -> None:
            client.close()
            self.taken.append(name)

        accepting.listen(listener, arrived, lambda: self.full)

    def turn(self, seconds: float = 0.05) -> None:
        self.loop.after(seconds, self.loop.stop)
        self.loop.run()

    def close(self) -> None:
        self.loop.close()
        for each in (*self._clients, self.listener):
            each.close()


@pytest.fixture
def entrance() -> Iterator[Entrance]:
    made = Entrance()
    yield made
    made.close()


def test_all_that_wait_are_taken_unless_there_is_no_room(entrance: Entrance) -> None:
    accepting = Accepting(entrance.loop, entrance.judge)
    entrance.serve("gate", accepting)
    entrance.full = True
    entrance.come(3)
    entrance.turn()
    assert entrance.taken == []
    entrance.full = False
    entrance.turn(0.2)
    assert entrance.taken == ["gate"] * 3
    accepting.close()


def test_who_has_more_flows_leaves_them_to_the_others(entrance: Entrance) -> None:
    loads = Loads(2)
    loads.set(0, 5)
    loads.set(1, 0)
    for worker, name in enumerate(("busy", "idle")):
        view = Loads.of(os.dup(loads.descriptor))
        entrance.serve(name, Sharing(entrance.loop, entrance.judge, view, worker))
    entrance.come(3)
    entrance.turn()
    assert entrance.taken == ["idle"] * 3


def test_a_connection_that_nobody_else_takes_waits_for_a_moment_only(entrance: Entrance) -> None:
    loads = Loads(2)
    loads.set(0, 5)
    loads.set(1, 0)
    entrance.serve("busy", Sharing(entrance.loop, entrance.judge, loads, 0))
    entrance.come(2)
    entrance.turn()
    assert entrance.taken == ["busy"] * 2
