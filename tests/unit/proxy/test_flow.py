"""The road of one connection, stage by stage, and that every stage fails closed."""

import contextlib
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import firewall.judge
from firewall.actor import Process
from firewall.requests import Direction, Finding
from tests.e2e.servers import RawServer
from tests.unit.protocols.samples import client_hello, server_name
from tests.unit.proxy.stage import Stage, stage
from tests.waiting import PATIENCE, eventually

POLICY = """
version: 1
name: test
network:
  names: {{web.test: 127.0.0.1, db.test: 127.0.0.1, ssh.test: 127.0.0.1, inside.test: 127.0.0.1}}
  rules:
    - {{name: web, allow: https, hosts: [web.test], ports: [443, {port}],
       addresses: [127.0.0.1/32]}}
    - {{name: plain, allow: http, hosts: [web.test], addresses: [127.0.0.1/32]}}
    - {{name: pinned, allow: https, hosts: [pin.test], tls: passthrough}}
    - {{name: db, allow: tcp, hosts: [db.test], ports: [{port}], addresses: [127.0.0.1/32]}}
    - {{name: ssh, allow: ssh, hosts: [ssh.test], ports: [{port}], forwarding: trusted,
       addresses: [127.0.0.1/32]}}
    - {{name: inside, allow: tcp, hosts: [inside.test], ports: [{port}]}}
"""
STRATUM = b'{"id":1,"method":"mining.subscribe","params":[]}\n'
HTTP = b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"


@pytest.fixture
def server() -> Iterator[RawServer]:
    made = RawServer()
    yield made
    made.close()


@pytest.fixture
def house(tmp_path: Path, server: RawServer) -> Iterator[Stage]:
    with stage(tmp_path, POLICY.format(port=server.port)) as made:
        yield made


def _closed(client: socket.socket) -> bytes:
    """What the client receives until the flow ends, by an end or a reset."""
    received = b""
    client.settimeout(PATIENCE)
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(4096):
            received += data
    client.close()
    return received


def test_an_unknown_protocol_passes_by_a_tcp_rule(house: Stage, server: RawServer) -> None:
    with house.open("db.test", server.port) as client:
        client.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
        assert client.recv(100) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
    assert house.memory.verdicts() == [("allow", "db")]
    record = house.memory.records[0]
    assert record["request"]["address"] == "127.0.0.1"
    assert record["actor"]["process"]["pid"] == 4711


def test_a_server_may_speak_first_where_a_rule_allows_tcp(house: Stage, server: RawServer) -> None:
    server._serve = lambda client: client.sendall(b"220 ready\r\n")
    with house.open("db.test", server.port) as client:
        assert client.recv(100) == b"220 ready\r\n"
    assert house.memory.records[0]["request"]["protocol"] == "silent"


@pytest.mark.parametrize(
    ("host", "words", "rule"),
    [
        ("db.test", STRATUM, "guards.mining"),
        ("evil.test", STRATUM, "guards.mining"),
        ("evil.test", b"hello\n", "default"),
        ("203.0.113.9", b"\x00\x01\x02\x03", "default"),
        ("db.test", b"\x05\x01\x00", "guards.tunnels"),
        ("inside.test", b"\x00\x01\x02\x03", "guards.private-addresses"),
        ("169.254.169.254", b"\x00\x01\x02\x03", "guards.private-addresses"),
    ],
)
def test_what_is_not_allowed_is_reset_and_recorded(
    house: Stage, server: RawServer, host: str, words: bytes, rule: str
) -> None:
    client = house.open(host, server.port)
    client.sendall(words)
    assert _closed(client) == b""
    assert house.memory.verdicts() == [("deny", rule)]
    assert house.memory.records[0]["gpu"]["status"] == "unavailable"
    assert server.received == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (HTTP, "late-http"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "late-ssh"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "late-http2"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"random", "late-tls"),
    ],
)
def test_a_client_that_waits_to_be_taken_for_another_is_cut(
    house: Stage, server: RawServer, monkeypatch: pytest.MonkeyPatch, words: bytes, name: str
) -> None:
    monkeypatch.setattr("firewall.proxy.opening.SILENCE_SECONDS", 0.05)

    def greet(client: socket.socket) -> None:
        client.sendall(b"220 ready\r\n")
        server._echo(client)

    server._serve = greet
    client = house.open("db.test", server.port)
    assert client.recv(100) == b"220 ready\r\n"
    client.sendall(words)
    _closed(client)
    assert house.memory.verdicts() == [("allow", "db"), ("deny", "guards.protocol-mismatch")]
    assert house.memory.records[1]["request"]["findings"][0]["name"] == name
    assert server.received == []


def test_a_client_that_resets_at_once_is_judged_and_is_no_fault(house: Stage) -> None:
    client = house.open("evil.test", 443)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    eventually(house.memory.verdicts)
    assert house.memory.verdicts() == [("deny", "default")]


def test_http_goes_to_the_depth_process_unread(house: Stage) -> None:
    with house.open("web.test", 80) as client:
        client.sendall(HTTP)
        eventually(lambda: house.depth.given)
        (given,) = house.depth.given
        assert (given.kind, given.host, given.address) == ("intercept", "web.test", "127.0.0.1")
        assert house.depth.clients[0].recv(200) == HTTP, "not a byte was consumed"


def test_a_refused_http_flow_is_explained_by_the_depth_process(house: Stage) -> None:
    with house.open("evil.test", 80) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")
        eventually(lambda: house.depth.given)
        (given,) = house.depth.given
        assert (given.kind, given.verdict.rule, given.address) == ("refuse", "default", None)


def test_an_allowed_name_that_does_not_resolve_is_unreachable(house: Stage) -> None:
    with house.open("pin.test", 443) as client:
        client.sendall(_client_hello("pin.test"))
        eventually(lambda: house.depth.given)
        (given,) = house.depth.given
        assert given.kind == "refuse"
        assert given.verdict.rule == "upstream.unreachable"
        assert "pin.test cannot be resolved" in given.verdict.reason
    assert house.memory.verdicts() == [("allow", "pinned")]
    assert "cannot be resolved" in house.memory.records[0]["flow"]["failure"]


def _client_hello(name: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def test_a_hello_in_pieces_is_waited_for(house: Stage) -> None:
    with house.open("web.test", 443) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in _client_hello("web.test"):
            client.sendall(bytes([byte]))
        eventually(lambda: house.depth.given)
        assert house.depth.given[0].sni == "web.test"


def test_a_slow_client_is_cut_off(house: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firewall.proxy.opening.SILENCE_SECONDS", 0.05)
    monkeypatch.setattr("firewall.proxy.opening.IDENTIFY_SECONDS", 0.2)
    client = house.open("web.test", 443, b"\x16")
    assert _closed(client) == b""
    assert house.memory.verdicts() == [("deny", "default")]


def test_a_refused_ssh_client_is_told_why(house: Stage) -> None:
    client = house.open("evil.test", 443)
    client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    words = _closed(client)
    assert words.startswith(b"SSH-2.0-")
    assert b"Blocked by the firewall" in words
    assert b"default" in words


def test_trusted_ssh_is_relayed(house: Stage, server: RawServer) -> None:
    with house.open("ssh.test", server.port) as client:
        client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        assert client.recv(100) == b"SSH-2.0-OpenSSH_9.2\r\n"
    assert house.memory.verdicts() == [("allow", "ssh")]


def test_a_reverse_tunnel_beats_a_rule_that_trusts_ssh(tmp_path: Path, server: RawServer) -> None:
    argv = ("ssh", "-N", "-R", "2222:localhost:22", "ops@ssh.test")
    process = Process(1, 1.0, "/usr/bin/ssh", argv, 1000)
    with stage(tmp_path, POLICY.format(port=server.port), process) as house:
        client = house.open("ssh.test", server.port)
        client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        assert b"guards.ssh-reverse-forwarding" in _closed(client)
        assert house.memory.verdicts() == [("deny", "guards.ssh-reverse-forwarding")]
        assert house.memory.records[0]["verdict"]["severity"] == "critical"
    assert server.received == []


def test_mining_in_the_middle_of_an_allowed_stream_is_cut(house: Stage, server: RawServer) -> None:
    client = house.open("db.test", server.port)
    client.sendall(b"\x00\x01harmless\n")
    assert client.recv(100) == b"\x00\x01harmless\n"
    client.sendall(STRATUM)
    _closed(client)
    assert house.memory.verdicts() == [("allow", "db"), ("deny", "guards.mining")]
    assert b"mining" not in b"".join(server.received)


def test_nothing_is_allowed_without_a_record(house: Stage, server: RawServer) -> None:
    house.memory.full = True
    client = house.open("db.test", server.port)
    client.sendall(b"\x00\x01\x02\x03")
    assert _closed(client) == b""
    assert server.received == []


def test_a_depth_process_that_takes_nothing_ends_the_flow(house: Stage) -> None:
    house.depth.accept = False
    client = house.open("web.test", 80)
    client.sendall(HTTP)
    assert _closed(client) == b""


POINTS = {
    "flow.start": ("db.test", b"\x00\x01\x02\x03"),
    "flow.identify": ("db.test", b"\x00\x01\x02\x03"),
    "flow.silence": ("db.test", b""),
    "flow.deadline": ("web.test", b"\x16"),
    "flow.judge": ("db.test", b"\x00\x01\x02\x03"),
    "flow.address": ("db.test", b"\x00\x01\x02\x03"),
    "flow.answer": ("db.test", b"\x00\x01\x02\x03"),
    "flow.connected": ("db.test", b"\x00\x01\x02\x03"),
    "flow.relay": ("db.test", b"\x00\x01\x02\x03"),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_fault_anywhere_is_a_recorded_deny(
    house: Stage, server: RawServer, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setattr(firewall.judge, "probe", _fault_in(point))
    monkeypatch.setattr("firewall.proxy.opening.SILENCE_SECONDS", 0.05)
    monkeypatch.setattr("firewall.proxy.opening.IDENTIFY_SECONDS", 0.2)
    host, words = POINTS[point]
    client = house.open(host, server.port, words)
    assert _closed(client) == b""
    assert ("deny", f"fail-closed.{point}") in house.memory.verdicts()
    assert server.received == []


def test_a_fault_while_a_finding_is_judged_cuts_the_stream(
    house: Stage, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = house.open("db.test", server.port)
    client.sendall(b"\x00\x01harmless\n")
    assert client.recv(100) == b"\x00\x01harmless\n"
    monkeypatch.setattr(firewall.judge, "probe", _fault_in("flow.message"))
    client.sendall(STRATUM)
    _closed(client)
    assert ("deny", "fail-closed.flow.message") in house.memory.verdicts()
    assert b"mining" not in b"".join(server.received)


def test_a_fault_while_accepting_closes_the_connection(
    house: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall.judge, "probe", _fault_in("gate.accept"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        house.gate.loop.post(lambda: house.gate.serve_explicit(listener))
        client = socket.create_connection(listener.getsockname())
        assert _closed(client) == b""
        assert house.memory.verdicts() == [("deny", "fail-closed.gate.accept")]


def _fault_in(point: str) -> Callable[[str], None]:
    def fault(reached: str) -> None:
        if reached == point:
            raise RuntimeError("injected")

    return fault


class Suspicious:
    """A shape that is suspicious at once; `fails` makes it raise instead."""

    fails = False

    def __init__(self, *, named: bool, protocols: bool) -> None:
        self._what = f"named {named}, protocols {protocols}"

    def feed(self, now: float, direction: Direction, size: int) -> tuple[Finding, ...]:
        if self.fails:
            raise RuntimeError("the score failed")
        if direction == "received":
            return ()
        return (Finding("mining", "encrypted-shape", self._what, "the whole flow", "suspicious"),)


HELLO = client_hello(server_name(b"db.test"))


def _messages(house: Stage) -> list[dict[str, Any]]:
    verdicts = (each for each in house.memory.records if each["kind"] == "verdict")
    return [each for each in verdicts if each["request"]["type"] == "Message"]


def test_tls_that_moves_unread_is_judged_by_its_shape(
    house: Stage, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firewall.proxy.unread.Shape", Suspicious)
    with house.open("db.test", server.port) as client:
        client.sendall(HELLO)
        assert client.recv(4096) == HELLO
        eventually(lambda: _messages(house))
    (record, *_) = _messages(house)
    assert record["flow"]["ja4"].startswith("t")
    assert len(record["flow"]["ja3"]) == 32
    assert record["request"]["carrier"] == "encrypted stream"
    assert record["request"]["findings"][0]["evidence"] == "named True, protocols False"
    assert (record["verdict"]["action"], record["verdict"]["severity"]) == ("allow", "warning")
    assert record["gpu"]["status"] == "unavailable"


@pytest.mark.parametrize("fails", [False, True], ids=["blocked", "failed"])
def test_a_shape_that_is_blocked_or_fails_ends_the_flow(
    tmp_path: Path, server: RawServer, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr("firewall.proxy.unread.Shape", Suspicious)
    monkeypatch.setattr(Suspicious, "fails", fails)
    policy = POLICY.format(port=server.port) + "guards: {suspicious: block}\n"
    with stage(tmp_path, policy) as house, house.open("db.test", server.port) as client:
        rule = "fail-closed.flow.relay" if fails else "guards.suspicious"
        client.sendall(HELLO)
        client.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(4096):
                pass
        eventually(lambda: ("deny", rule) in house.memory.verdicts())


def test_both_directions_are_watched_together(house: Stage, server: RawServer) -> None:
    data = random.Random(4).randbytes(64)
    with house.open("db.test", server.port) as client:
        client.sendall(data)
        assert client.recv(4096) == data
        eventually(lambda: _messages(house))
    (record,) = _messages(house)
    assert record["request"]["findings"][0]["name"] == "random-stream"
    assert record["verdict"]["action"] == "allow"
