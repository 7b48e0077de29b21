"""The question to the kernel, byte by byte; the answers come from real kernels in tests/e2e."""

import socket
import struct
from collections.abc import Iterator

import pytest

from firewall.actor import Process
from firewall.sandbox import actors
from firewall.sandbox.netlink import Message
from firewall.sandbox.procfs import Glance


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

    def setblocking(self, _: bool) -> None:
        pass

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_RCVTIMEO)
        assert len(value) == 16

    def send(self, _: bytes) -> None:
        pass

    def recv(self, _: int) -> bytes:
        if not self.answers:
            raise BlockingIOError
        return self.answers.pop(0)


def error(code: int, sequence: int) -> bytes:
    return Message(2, 0, struct.pack("=i", -code)).encode(sequence)


FLOW = (("10.0.0.2", 1), ("203.0.113.1", 2))


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ((), "no answer in time"),
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
    told = [each.pid for each in finder._chain(999, parents, _unknown)]
    assert told == [*range(999, 999 - 33, -1), 1]
    assert asked[:2] == [(999, 65536), (998, 2048)], "only the process itself is told whole"
    assert [each.pid for each in finder._chain(3, parents, _unknown)] == [3, 2, 1]
    assert [each.pid for each in finder._chain(1, parents, _unknown)] == [1]


def _unknown(_: int) -> Glance:
    return Glance(0, ())


class Known:
    """A kernel that knows one socket's inode, and processes 10 (the first) > 11 > 12."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parents = {11: 10, 12: 11}
        self.held = {11: {5}, 12: {6}}
        self.scans = self.described = 0
        self.listed: list[int] = []
        monkeypatch.setattr(actors, "family", self.family)
        monkeypatch.setattr(actors, "lineage", self.lineage)
        monkeypatch.setattr(actors, "socket_inodes", self.socket_inodes)
        monkeypatch.setattr(actors, "describe", self.describe)
        self.images: dict[int, tuple[bytes, ...]] = {10: (b"init",), 11: (b"sh",), 12: (b"curl",)}
        monkeypatch.setattr(actors, "glance", lambda pid: Glance(0, self.images.get(pid, ())))
        self.finder = actors.ActorFinder("box", 10, 7, Silent())  # type: ignore[arg-type]
        monkeypatch.setattr(self.finder, "_held", lambda client, *_: actors.Held(0, client[1]))

    def family(self, _: int) -> dict[int, int]:
        self.scans += 1
        return dict(self.parents)

    def socket_inodes(self, pid: int, looked: object = None) -> Iterator[int]:
        self.listed.append(pid)
        return iter(self.held[pid])

    def lineage(self, pid: int, *_: object) -> dict[int, int]:
        return {each: above for each, above in self.parents.items() if each <= pid in self.parents}

    def describe(self, pid: int, *_: int) -> Process:
        self.described += 1
        return Process(pid, 0.0, "/bin/sh", ("sh",), 0)

    def find(self, *inodes: int) -> list[int | None]:
        found = self.finder.find([(("10.0.0.2", each), FLOW[1]) for each in inodes])
        return [each.process.pid if each.process else None for each in found]


def test_who_was_found_last_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(monkeypatch)
    assert known.find(6, 6) == [12, 12]
    assert (known.scans, known.described) == (1, 3), "one search and one description for both"
    known.held[12] = {6, 8}
    assert known.find(8, 5) == [12, 11]
    assert known.scans == 1


def test_an_ancestor_is_described_anew_once_it_runs_another_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = Known(monkeypatch)
    known.find(6)
    known.find(6)
    assert known.described == 3, "all run what they ran"
    known.images[11] = (b"python",)
    known.find(6)
    assert known.described == 3 + 1
    known.images[12] = (b"wget",)
    known.find(6)
    assert known.described == 3 + 1 + 1, "and so does the process itself"
    known.images = {}
    known.find(6)
    known.find(6)
    assert known.described == 3 + 1 + 1 + 3 + 3, "what may not be known may have changed"


def test_an_ancestor_is_described_anew_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(monkeypatch)
    monkeypatch.setattr(actors, "_MOMENT_S", 0.0)
    known.find(6)
    known.find(6)
    assert known.described == 3 + 3


def test_a_parent_that_holds_it_too_is_named_also_then(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(monkeypatch)
    known.find(6)
    known.held = {11: {9}, 12: {9}}
    assert known.find(9) == [11]


def test_a_shell_above_that_held_no_socket_is_not_listed_again_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = Known(monkeypatch)
    known.held = {11: set(), 12: {6}}
    known.find(6)
    known.find(6)
    assert known.listed == [11, 12, 11, 12]
    known.find(6)
    assert known.listed == [11, 12, 11, 12, 12]
    known.held[11] = {7}
    assert known.find(7) == [11], "where it is not found below, all are listed"
    known.held[11] = known.held[12] = {8}
    monkeypatch.setattr(actors, "_MOMENT_S", 0.0)
    known.finder._without.clear()
    assert known.find(8) == [11]


def test_where_none_of_them_holds_it_all_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(monkeypatch)
    known.find(6)
    known.parents = {13: 10}  # 12 has ended
    known.held = {13: {6}}
    assert known.find(6) == [13]
    assert known.find(77) == [None]
    assert known.scans == 3


def test_a_socket_without_a_process_still_has_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(monkeypatch)
    monkeypatch.setattr(known.finder, "_held", lambda *_: actors.Held(1000, 77))
    [actor] = known.finder.find([FLOW])
    assert (actor.process, actor.uid) == (None, 1000)
    assert actor.unknown == "no process inside holds the socket any more"


def test_the_kernels_answer_has_user_and_inode() -> None:
    answer = Message(20, 0, bytes(64) + struct.pack("=II", 1000, 77)).encode(1)
    finder = actors.ActorFinder("box", 1, 7, Silent(answer))  # type: ignore[arg-type]
    assert finder._held(*FLOW, "tcp") == actors.Held(1000, 77)
