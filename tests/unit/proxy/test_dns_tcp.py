"""DNS over TCP: questions answered in order, everything else sent down the usual road."""

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

import firewall.judge
from firewall.actor import Actor, Process
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy import dns_tcp
from firewall.proxy.dns import Resolution
from firewall.proxy.dns_tcp import DnsConnection, begins_with_question, first_message
from firewall.proxy.loop import Loop
from firewall.proxy.names import Names
from tests.unit.proxy.stage import Memory
from tests.waiting import PATIENCE

POLICY = "version: 1\nname: test\n"
DIG = Actor("test", Process(4711, 1.0, "/usr/bin/dig", ("dig",), 1000))
TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(40)


class Server:
    """A loop on a thread of its own; `open` gives the client's end of a connection to port 53."""

    def __init__(self, folder: Path) -> None:
        path = folder / "policy.yaml"
        path.write_text(POLICY)
        self.loop, self.memory, self.names = Loop(), Memory(), Names()
        self.judge = Judge(load_policy(path), self.memory, self.memory, self.memory)
        self.aside = threading.Event()
        self._resolution = Resolution(self.judge, self.names, self.loop.post)
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self.loop.run)
        self._thread.start()

    def open(self) -> socket.socket:
        client, accepted = socket.socketpair()
        client.settimeout(PATIENCE)
        self._kept.append(accepted)
        connection = DnsConnection(
            self.loop,
            self.judge,
            self._resolution,
            accepted,
            {"dialled": ["192.0.2.53", 53]},
            lambda found: self.loop.post(lambda: found(DIG)),
            self.aside.set,
        )
        self.loop.post(connection.start)
        return client

    def close(self) -> None:
        self.loop.stop()
        self._thread.join(PATIENCE)
        for each in self._kept:
            each.close()
        self.loop.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


def _framed(wire: bytes) -> bytes:
    return struct.pack("!H", len(wire)) + wire


def _question(name: str, kind: str = "A") -> bytes:
    return _framed(dns.message.make_query(name, kind).to_wire())


def _answer(client: socket.socket) -> list[str]:
    response, _ = dns.query.receive_tcp(client)
    return [str(record) for answer in response.answer for record in answer]


def _ended(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_question_is_answered_however_it_arrives(server: Server, piece: int) -> None:
    with server.open() as client:
        question = _question("a.test")
        for start in range(0, len(question), piece):
            client.sendall(question[start : start + piece])
        (address,) = _answer(client)
    assert server.names.name(address) == "a.test"
    (record,) = server.memory.records
    assert record["request"]["name"] == "a.test"
    assert record["actor"]["process"]["pid"] == 4711
    assert record["flow"] == {"dialled": ["192.0.2.53", 53]}


def test_questions_in_a_row_are_answered_in_order(server: Server) -> None:
    names = [f"n{number}.test" for number in range(50)]
    with server.open() as client:
        client.sendall(b"".join(map(_question, names)))
        found = [server.names.name(address) for _ in names for address in _answer(client)]
        assert found == names
        client.sendall(_question("localhost"))
        assert _answer(client) == ["127.0.0.1"]
        client.sendall(_question("a.test", "TXT"))
        assert _answer(client) == []
    assert server.memory.verdicts() == [("allow", "names")] * 50 + [("deny", "names")]


def test_a_client_that_has_said_all_still_gets_its_answer(server: Server) -> None:
    with server.open() as client:
        client.sendall(_question("a.test"))
        client.shutdown(socket.SHUT_WR)
        assert len(_answer(client)) == 1
        assert _ended(client)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b'{"id":1,"method":"mining.subscribe","params":[]}\n',
        TLS_HELLO,
        _framed(bytes.fromhex("00018180") + bytes(8)),
        _framed(bytes.fromhex("000101000001000000000000") + b"\xff" * 9),
    ],
    ids=["ssh", "http", "stratum", "tls", "dns-answer", "dns-garbage"],
)
def test_what_is_no_question_steps_aside_unread(
    server: Server, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(dns_tcp, "OPENING_SECONDS", 2 * PATIENCE)
    with server.open() as client:
        client.sendall(data)
        assert server.aside.wait(PATIENCE)
        assert server._kept[0].recv(1000) == data
    assert server.memory.records == []


@pytest.mark.parametrize("data", [b"", b"\x00\x20\x12"])
def test_who_says_too_little_steps_aside_in_time(
    server: Server, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(dns_tcp, "OPENING_SECONDS", 0.05)
    with server.open() as client:
        client.sendall(data)
        assert server.aside.wait(PATIENCE)


def test_who_ends_too_early_steps_aside_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_tcp, "OPENING_SECONDS", 2 * PATIENCE)
    with server.open() as client:
        client.sendall(b"\x00\x20\x12")
        client.shutdown(socket.SHUT_WR)
        assert server.aside.wait(PATIENCE)


def test_garbage_after_a_question_ends_the_connection(server: Server) -> None:
    with server.open() as client:
        client.sendall(_question("a.test") + _framed(b"garbage"))
        assert len(_answer(client)) == 1
        assert _ended(client)


def test_an_idle_client_is_let_go(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_tcp, "IDLE_SECONDS", 0.05)
    with server.open() as client:
        client.sendall(_question("a.test"))
        assert len(_answer(client)) == 1
        assert _ended(client)


@pytest.mark.parametrize("point", ["dns_tcp.opening", "dns_tcp.actor", "dns_tcp.question"])
def test_a_fault_ends_the_connection_with_a_record(
    server: Server, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    def fault(reached: str) -> None:
        if reached == point:
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    with server.open() as client:
        client.sendall(_question("a.test"))
        assert _ended(client)
    assert server.memory.verdicts() == [("deny", f"fail-closed.{point}")]
    assert not server.aside.is_set()


@given(st.binary(max_size=100))
def test_the_first_bytes_never_raise_and_never_change_their_meaning(data: bytes) -> None:
    answers = [begins_with_question(data[:size]) for size in range(len(data) + 1)]
    decided = [answer for answer in answers if answer is not None]
    assert len(set(decided)) <= 1
    assert answers[: len(answers) - len(decided)] == [None] * (len(answers) - len(decided))


@given(st.binary(max_size=80), st.binary(max_size=20))
def test_a_message_is_what_its_length_says(wire: bytes, rest: bytes) -> None:
    framed = _framed(wire)
    assert first_message(framed + rest) == wire
    assert all(first_message(framed[:size]) is None for size in range(len(framed)))


def test_a_question_is_known_when_it_is_whole() -> None:
    question = _question("a.test")
    assert begins_with_question(question[:-1]) is None
    assert begins_with_question(question) is True
    assert begins_with_question(question + b"more") is True
