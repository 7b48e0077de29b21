"""Names are asked once, off the loop's thread; pinned names and addresses never."""

import socket
import threading
from collections.abc import Sequence

import pytest

from firewall.proxy.loop import Loop
from firewall.proxy.resolver import Resolver, literal, lookup
from tests.waiting import PATIENCE


def _resolve(names: Sequence[str], pinned: dict[str, str]) -> list[tuple[list[str], str]]:
    loop = Loop()
    resolver = Resolver(loop.post)
    resolver.pinned = pinned
    answers: list[tuple[list[str], str]] = []

    def done(addresses: Sequence[str], reason: str) -> None:
        answers.append((list(addresses), reason))
        if len(answers) == len(names):
            loop.stop()

    for name in names:
        resolver.resolve(name, done)
    loop.run()
    resolver.close()
    loop.close()
    return answers


def test_pinned_names_and_addresses_are_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked"))
    answers = _resolve(["code.test", "192.0.2.7", "2001:db8::1"], {"code.test": "192.0.2.1"})
    assert answers == [(["192.0.2.1"], ""), (["192.0.2.7"], ""), (["2001:db8::1"], "")]


def test_a_burst_for_one_name_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.9", 0))] * 2

    def getaddrinfo(name: str, *_: object, **__: object) -> list[object]:
        asked.append(threading.current_thread().name)
        return list(answer)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert _resolve(["a.test"] * 5, {}) == [(["192.0.2.9"], "")] * 5
    assert asked == ["resolver"]


def test_a_name_that_does_not_exist_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    addresses, reason = lookup("missing.test")
    assert addresses == []
    assert reason == (
        "the name missing.test cannot be resolved: [Errno -2] Name or service not known"
    )


def test_more_names_than_may_wait_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def getaddrinfo(name: str, *_: object, **__: object) -> list[object]:
        answered.wait(PATIENCE)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.9", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("firewall.proxy.resolver.WAITING_NAMES", 2)
    threading.Timer(0.1, answered.set).start()
    answers = _resolve(["a.test", "b.test", "c.test"], {})
    reason = "the name c.test cannot be resolved: too many names wait for an answer"
    assert answers == [([], reason), (["192.0.2.9"], ""), (["192.0.2.9"], "")]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("192.0.2.1", True), ("::1", True), ("localhost", False), ("1.2.3", False), ("", False)],
)
def test_literal(host: str, expected: bool) -> None:
    assert literal(host) is expected
