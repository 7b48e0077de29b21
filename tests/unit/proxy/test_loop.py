"""The loop: readiness, timers in order, calls from other threads, failures contained."""

import logging
import socket
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from firewall.proxy.loop import EDGE, MANY, READ, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_timers_run_in_order_and_a_cancelled_one_does_not(loop: Loop) -> None:
    ran: list[str] = []
    loop.after(0.02, lambda: ran.append("second"))
    loop.after(0.01, lambda: ran.append("first"))
    loop.after(0.015, lambda: ran.append("never")).cancel()
    loop.after(0.03, loop.stop)
    loop.run()
    assert ran == ["first", "second"]


def test_cancelled_timers_do_not_wait_for_their_time(loop: Loop) -> None:
    ran: list[int] = []
    kept = [loop.after(0.01, partial(ran.append, number)) for number in range(3)]
    for _ in range(5000):
        loop.after(60, loop.stop).cancel()
    assert len(loop._timers) <= MANY + len(kept)
    loop.after(0.02, loop.stop)
    loop.run()
    assert ran == [0, 1, 2]


def test_another_thread_can_post_and_stop(loop: Loop) -> None:
    where: list[str] = []

    def work() -> None:
        loop.post(lambda: where.append(threading.current_thread().name))
        loop.stop()

    thread = threading.Thread(target=work)
    thread.start()
    loop.run()
    thread.join()
    assert where == [threading.current_thread().name]


def test_what_is_gathered_runs_once_when_the_turn_ends(loop: Loop) -> None:
    ran: list[str] = []
    taken: list[bool] = []

    def gathered() -> None:
        ran.append("gathered")

    def handler(name: str) -> None:
        ran.append(name)
        taken.append(loop.gather(gathered))

    loop.post(partial(handler, "first"))
    loop.post(partial(handler, "second"))
    loop.stop()
    loop.run()
    assert ran == ["first", "second", "gathered"]
    assert taken == [True, True]


def test_what_is_gathered_while_a_turn_ends_runs_when_the_next_does(loop: Loop) -> None:
    """Nothing else would wake the loop."""

    def first() -> None:
        loop.gather(second)

    def second() -> None:
        loop.gather(loop.stop)

    loop.post(first)
    loop.run()


def test_nothing_is_gathered_for_those_who_are_not_on_its_thread(loop: Loop) -> None:
    taken: list[bool] = []

    def elsewhere() -> None:
        thread = threading.Thread(target=lambda: taken.append(loop.gather(taken.clear)))
        thread.start()
        thread.join()

    loop.post(elsewhere)
    loop.stop()
    loop.run()
    assert taken == [False]
    assert not loop.gather(taken.clear), "it turns no more"


def test_a_watched_socket_wakes_its_handler_until_forgotten(loop: Loop) -> None:
    left, right = socket.socketpair()
    seen: list[bytes] = []

    def ready(events: int) -> None:
        seen.append(right.recv(10))
        loop.forget(right.fileno())
        left.send(b"unseen")
        loop.after(0.02, loop.stop)

    with left, right:
        loop.watch(right.fileno(), READ, ready)
        left.send(b"seen")
        loop.run()
    assert seen == [b"seen"]


def test_who_watches_later_is_called_instead_and_told_what_is_ready(loop: Loop) -> None:
    left, right = socket.socketpair()
    called: list[str] = []
    with left, right:
        left.send(b"x")
        loop.watch(right.fileno(), READ | EDGE, lambda _: called.append("first"))
        loop.after(0.01, lambda: loop.take_over(right.fileno(), lambda _: called.append("third")))
        loop.after(0.02, partial(left.sendall, b"y"))
        loop.watch(right.fileno(), READ | EDGE, lambda _: called.append("second"))
        loop.after(0.04, loop.stop)
        loop.run()
        loop.forget(right.fileno())
    assert called == ["second", "third"]


def test_a_closed_descriptors_events_do_not_reach_its_numbers_next_owner(loop: Loop) -> None:
    """Both are ready at once; the first to run closes the other, whose number is taken anew."""
    (left, one), (right, other) = pairs = [socket.socketpair() for _ in range(2)]
    fresh: list[socket.socket] = []
    spurious: list[int] = []

    def close(victim: socket.socket, events: int) -> None:
        number = victim.fileno()
        loop.forget(number)
        victim.close()
        fresh.extend(socket.socketpair())
        assert fresh[0].fileno() == number
        loop.watch(number, READ, spurious.append)
        loop.after(0.02, loop.stop)

    for mine, victim in ((one, other), (other, one)):
        loop.watch(mine.fileno(), READ | EDGE, partial(close, victim))
    left.send(b"x")
    right.send(b"x")
    loop.run()
    for each in (*pairs[0], *pairs[1], *fresh):
        each.close()
    assert spurious == []


def test_a_failing_handler_ends_neither_the_loop_nor_the_others(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def fail() -> None:
        raise RuntimeError("broken")

    loop.post(fail)
    loop.post(lambda: ran.append("after"))
    loop.stop()
    with caplog.at_level(logging.CRITICAL, logger="firewall.proxy.loop"):
        loop.run()
    assert ran == ["after"]
