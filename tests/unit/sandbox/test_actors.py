"""The question to the kernel, byte by byte; the answers come from real kernels in tests/e2e."""

import socket
import struct

import pytest

from firewall.actor import Process
from firewall.sandbox import actors
from firewall.sandbox.netlink import Message


@pytest.mark.parametrize(
    ("client", "destination", "family", "source"),
    [
        (("10.0.0.2", 1000), ("203.0.113.1", 443), socket.AF_INET, "10.0.0.2"),
        (
            ("::ffff:10.0.0.2", 1000, 0, 0),
            ("::ffff:203.0.113.1", 443, 0, 0),
            socket.AF_INET,
            "10.0.0.2",
        ),
        (("fd00::2", 1000, 0, 0), ("2001:db8::1", 443, 0, 0), socket.AF_INET6, "fd00::2"),
    ],
)
def test_the_question_names_exactly_one_socket(
    client: actors.Address, destination: actors.Address, family: int, source: str
) -> None:
    body = actors._request(client, destination, "tcp")
    assert len(body) == 56
    assert body[:2] == bytes([family, socket.IPPROTO_TCP])
    assert struct.unpack_from(">HH", body, 8) == (1000, 443)
    packed = socket.inet_pton(family, source)
    assert body[12 : 12 + len(packed)] == packed
    assert body[-8:] == b"\xff" * 8


def test_udp_is_asked_the_other_way_round() -> None:
    client, server = ("10.0.0.2", 1000), ("203.0.113.1", 53)
    tcp = actors._request(server, client, "tcp")
    assert actors._request(client, server, "udp")[8:] == tcp[8:]


class Silent:
    """A kernel that answers nothing, or with given messages."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    def settimeout(self, _: float) -> None:
        pass

    def send(self, _: bytes) -> None:
        pass

    def recv(self, _: int) -> bytes:
        if not self.answers:
            raise TimeoutError("timed out")
        return self.answers.pop(0)


def error(code: int, sequence: int) -> bytes:
    return Message(2, 0, struct.pack("=i", -code)).encode(sequence)


FLOW = (("10.0.0.2", 1), ("203.0.113.1", 2))


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ((), "timed out"),
        ((error(2, 1),), "closed already"),
        # Late answers to an earlier question are passed over.
        ((error(1, 99), error(2, 1)), "closed already"),
        ((Message(20, 0, b"\0" * 72).encode(1),), "no longer open"),
        ((Message(3, 0, b"").encode(1),), "no answer"),
    ],
)
def test_what_cannot_be_found_says_why(answers: tuple[bytes, ...], says: str) -> None:
    finder = actors.ActorFinder("box", 1, 7, Silent(*answers))  # type: ignore[arg-type]
    [actor] = finder.find([FLOW])
    assert (actor.process, actor.sandbox, actor.namespace) == (None, "box", 7)
    assert says in actor.unknown


def test_an_address_that_is_none_is_unknown() -> None:
    finder = actors.ActorFinder("box", 1, 7, Silent())  # type: ignore[arg-type]
    [actor] = finder.find([(("no address", 1), ("203.0.113.1", 2))])
    assert "'no address' does not appear to be" in actor.unknown


def test_an_endless_line_of_ancestors_is_told_by_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []

    def describe(pid: int, *limit: int) -> Process:
        asked.append((pid, *limit))
        return Process(pid, 0.0, "/bin/sh", ("sh",), 0)

    monkeypatch.setattr(actors, "describe", describe)
    finder = actors.ActorFinder("box", 1, 7, Silent())  # type: ignore[arg-type]
    parents = {pid: pid - 1 for pid in range(2, 1000)}
    told = [each.pid for each in finder._chain(999, parents)]
    assert told == [*range(999, 999 - 33, -1), 1]
    assert asked[:2] == [(999,), (998, 2048)], "only the process itself is told whole"
    assert [each.pid for each in finder._chain(3, parents)] == [3, 2, 1]
    assert [each.pid for each in finder._chain(1, parents)] == [1]
