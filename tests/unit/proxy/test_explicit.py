"""The explicit proxy's front: CONNECT, SOCKS5, absolute-form; and hostile handshakes."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import firewall.judge
from tests.e2e.servers import RawServer
from tests.unit.proxy.stage import Stage, stage
from tests.unit.proxy.test_flow import POLICY, _closed
from tests.waiting import PATIENCE, eventually

type Served = tuple[Stage, int]


@pytest.fixture
def server() -> Iterator[RawServer]:
    made = RawServer()
    yield made
    made.close()


@pytest.fixture
def served(tmp_path: Path, server: RawServer) -> Iterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, stage(tmp_path, POLICY.format(port=server.port)) as house:
        house.gate.loop.post(lambda: house.gate.serve_explicit(listener))
        yield house, listener.getsockname()[1]


def _connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served[1]), PATIENCE)


def _reply(client: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += client.recv(length - len(data))
    return data


def test_connect_goes_the_same_road(served: Served, server: RawServer) -> None:
    with _connect(served) as client:
        client.sendall(f"CONNECT DB.test:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert _reply(client, 39) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        client.sendall(b"\x00\x01\x02\x03")
        assert client.recv(10) == b"\x00\x01\x02\x03"
    assert served[0].memory.verdicts() == [("allow", "db")]


def test_bytes_sent_with_connect_are_not_lost(served: Served, server: RawServer) -> None:
    with _connect(served) as client:
        head = f"CONNECT db.test:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        client.sendall(head + b"\x00\x01\x02\x03")
        _reply(client, 39)
        assert client.recv(10) == b"\x00\x01\x02\x03"


@pytest.mark.parametrize(
    ("kind", "host"), [(b"\x03\x07", b"db.test"), (b"\x01", bytes([127, 0, 0, 1]))]
)
def test_socks5_goes_the_same_road(
    served: Served, server: RawServer, kind: bytes, host: bytes
) -> None:
    with _connect(served) as client:
        client.sendall(b"\x05\x01\x00")
        assert _reply(client, 2) == b"\x05\x00"
        client.sendall(b"\x05\x01\x00" + kind + host + server.port.to_bytes(2))
        assert _reply(client, 10)[:2] == b"\x05\x00"
        client.sendall(b"\x00\x01\x02\x03")
        if host == b"db.test":
            assert client.recv(10) == b"\x00\x01\x02\x03"
            assert served[0].memory.verdicts() == [("allow", "db")]
        else:
            assert _closed(client) == b""
            assert served[0].memory.verdicts() == [("deny", "guards.private-addresses")]


def test_absolute_form_is_forwarded_unread(served: Served) -> None:
    request = b"GET http://web.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n"
    with _connect(served) as client:
        client.sendall(request)
        eventually(lambda: served[0].depth.given)
        assert served[0].depth.given[0].kind == "forward"
        assert served[0].depth.clients[0].recv(100) == request


def test_mining_through_connect_is_recognised(served: Served, server: RawServer) -> None:
    client = _connect(served)
    client.sendall(f"CONNECT db.test:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    _reply(client, 39)
    client.sendall(b'{"id":1,"method":"mining.subscribe","params":[]}\n')
    assert _closed(client) == b""
    assert served[0].memory.verdicts() == [("deny", "guards.mining")]
    assert server.received == []


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (b"CONNECT db.test HTTP/1.1\r\n\r\n", b"400"),
        (b"CONNECT db.test:99999 HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"this is a proxy"),
        (b"GET http://a b HTTP/1.1\r\n\r\n", b"400"),
        (b"\x05\x01\x02", b"\x05\xff"),
        (b"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", b"\x05\x00\x05\x07"),
    ],
)
def test_a_bad_handshake_is_answered_and_closed(
    served: Served, words: bytes, answer: bytes
) -> None:
    client = _connect(served)
    client.sendall(words)
    assert answer in _closed(client)
    assert served[0].memory.records == []


def test_no_reset_overtakes_an_answer(served: Served) -> None:
    """As closing would send where bytes are unread: clients then drop what they have."""
    said = b""
    with _connect(served) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while piece := client.recv(4096):
            said += piece
    assert said.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "words", [b"", b"C", b"CONNECT db.test:1 HTTP/1.1\r\n", b"\x05", b"\x05\1", b"\x16\3\1"]
)
def test_an_unfinished_handshake_times_out(
    served: Served, monkeypatch: pytest.MonkeyPatch, words: bytes
) -> None:
    monkeypatch.setattr("firewall.proxy.explicit.HANDSHAKE_SECONDS", 0.1)
    client = _connect(served)
    with contextlib.suppress(ConnectionError):  # its time may be over already
        client.sendall(words)
    assert _closed(client) == b""


def test_a_fault_in_the_handshake_is_a_recorded_deny(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(reached: str) -> None:
        if reached == "explicit.handshake":
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    client = _connect(served)
    client.sendall(b"CONNECT db.test:1 HTTP/1.1\r\n\r\n")
    assert _closed(client) == b""
    assert ("deny", "fail-closed.explicit.handshake") in served[0].memory.verdicts()


def test_a_client_that_resets_is_no_fault(served: Served) -> None:
    client = _connect(served)
    client.sendall(b"CONNECT ")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    with _connect(served) as other:
        other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert other.recv(12) == b"HTTP/1.1 400"
    assert served[0].memory.records == []
