"""Actors: one look answers a burst, and a finder that fails is no verdict."""

import threading
from collections.abc import Sequence

import pytest

from firewall.actor import Actor
from firewall.proxy.actors import MANY, Actors, Endpoint, Transport
from firewall.proxy.loop import Loop
from tests.waiting import PATIENCE, eventually

HERE, THERE = ("10.0.0.2", 1), ("203.0.113.1", 443)


class Finder:
    """Names each flow after its client's port; the first look waits until it may go on."""

    def __init__(self, *, fails: bool = False) -> None:
        self.looks: list[tuple[Transport, int]] = []
        self.go_on = threading.Event()
        self._fails = fails

    def find(self, flows: Sequence[tuple[Endpoint, Endpoint]], transport: Transport) -> list[Actor]:
        self.looks.append((transport, len(flows)))
        self.go_on.wait(PATIENCE)
        if self._fails:
            raise OSError("no /proc")
        return [Actor(f"{transport} {client[1]}") for client, _ in flows]


def _find(finder: Finder, *asked: tuple[Transport, int]) -> list[Actor]:
    loop, found = Loop(), []
    actors = Actors("run-1", finder, loop.post)

    def keep(actor: Actor) -> None:
        found.append(actor)
        if len(found) == len(asked):
            loop.stop()

    def ask(transport: Transport, port: int) -> None:
        find = actors.find if transport == "tcp" else actors.find_udp
        find((HERE[0], port), THERE, keep)

    def ask_the_rest() -> None:
        if not finder.looks:
            loop.post(ask_the_rest)
            return
        for each in asked[1:]:
            ask(*each)
        loop.post(finder.go_on.set)

    loop.post(lambda: ask(*asked[0]))
    loop.post(ask_the_rest)
    loop.run()
    actors.close()
    loop.close()
    return found


def test_what_waits_meanwhile_is_answered_by_one_look() -> None:
    finder = Finder()
    found = _find(finder, ("tcp", 1), ("tcp", 2), ("udp", 3), ("tcp", 4))
    assert [actor.sandbox for actor in found] == ["tcp 1", "tcp 2", "tcp 4", "udp 3"]
    assert finder.looks == [("tcp", 1), ("tcp", 2), ("udp", 1)]


def test_who_comes_right_after_a_look_for_many_waits_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firewall.proxy.actors.BETWEEN_SECONDS", 0.5)
    finder, answered = Finder(), threading.Semaphore(0)
    actors = Actors("run-1", finder, lambda call: call())

    def ask(count: int) -> None:
        for port in range(count):
            actors.find((HERE[0], port), THERE, lambda _: answered.release())

    ask(1)
    assert eventually(lambda: finder.looks)
    ask(MANY)
    finder.go_on.set()
    for _ in range(1 + MANY):
        assert answered.acquire(timeout=PATIENCE)
    ask(3)
    for _ in range(3):
        assert answered.acquire(timeout=PATIENCE)
    actors.close()
    assert finder.looks == [("tcp", 1), ("tcp", MANY), ("tcp", 3)]


def test_a_finder_that_fails_leaves_an_unknown_actor(caplog: pytest.LogCaptureFixture) -> None:
    (actor,) = _find(Finder(fails=True), ("tcp", 1))
    assert actor == Actor("run-1", unknown="the search failed: no /proc")
    assert "were not found" in caplog.text
