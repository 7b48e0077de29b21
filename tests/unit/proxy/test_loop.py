"""The loop: readiness, timers in order, calls from other threads, failures contained."""

import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from firewall.proxy.loop import READ, Loop


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
