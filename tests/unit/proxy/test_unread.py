"""TLS that passes unread: its server must speak TLS, and its certificate goes into the record."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firewall.proxy.unread import Unread
from firewall.requests import Connect
from tests.e2e.servers import RawServer
from tests.unit.protocols.samples import client_hello, server_name
from tests.unit.protocols.test_tlsserver import certificate, flight
from tests.unit.proxy.stage import Memory, stage
from tests.waiting import eventually

HELLO = client_hello(server_name(b"db.test"))
POLICY = """
version: 1
name: test
network:
  names: {{db.test: 127.0.0.1}}
  rules:
    - {{name: db, allow: tcp, hosts: [db.test], ports: [{port}], addresses: [127.0.0.1/32]}}
"""
SELF_SIGNED = flight(certificate("O=ligolo", "O=ligolo", "ligolo"), ssl.TLSVersion.TLSv1_2)


def _answering(words: bytes) -> Callable[[socket.socket], None]:
    def serve(client: socket.socket) -> None:
        client.recv(65536)
        for at in range(0, len(words), 300):
            client.sendall(words[at : at + 300])
        client.recv(1)

    return serve


def _run(folder: Path, words: bytes, until: Callable[[Memory], object]) -> tuple[bytes, Memory]:
    """What a client of TLS gets from a server that answers with `words`, and the records."""
    server = RawServer(_answering(words))
    with stage(folder, POLICY.format(port=server.port)) as house:
        with house.open("db.test", server.port, HELLO) as client:
            got = b""
            while len(got) < len(words) and (piece := client.recv(len(words))):
                got += piece
            eventually(lambda: until(house.memory))
        eventually(lambda: [each for each in house.memory.records if each["kind"] == "flow"])
    server.close()
    return got, house.memory


def _messages(memory: Memory) -> list[dict[str, Any]]:
    verdicts = (each for each in memory.records if each["kind"] == "verdict")
    return [each for each in verdicts if each["request"]["type"] == "Message"]


def test_a_tool_s_own_certificate_is_told_and_kept_in_the_record(tmp_path: Path) -> None:
    got, memory = _run(tmp_path, SELF_SIGNED, _messages)
    assert got == SELF_SIGNED
    (record,) = _messages(memory)
    assert record["request"]["carrier"] == "encrypted stream"
    assert record["request"]["findings"][0]["name"] == "ligolo-ng"
    assert (record["verdict"]["action"], record["verdict"]["severity"]) == ("allow", "warning")
    (ended,) = (each for each in memory.records if each["kind"] == "flow")
    assert ended["certificate"]["subject"] == "O=ligolo"
    assert ended["certificate"]["self_signed"] is True


@pytest.mark.parametrize("words", [b"SSH-2.0-dropbear\r\n" * 20, b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_hello_that_is_answered_in_another_protocol_ends_the_flow(
    tmp_path: Path, words: bytes
) -> None:
    server = RawServer(_answering(words))
    with stage(tmp_path, POLICY.format(port=server.port)) as house:
        with house.open("db.test", server.port, HELLO):
            eventually(lambda: _messages(house.memory))
        (record,) = _messages(house.memory)
        assert record["verdict"]["rule"] == "guards.protocol-mismatch"
        assert record["request"]["findings"][0]["name"] == "not-tls"
    server.close()


@pytest.mark.parametrize(
    ("sni", "names", "misnamed"),
    [
        ("db.test", ["db.test"], False),
        ("db.test", ["*.test"], False),
        ("db.test", ["pool.test"], True),
        ("db.test", [], False),
        (None, ["pool.test"], False),
    ],
)
def test_a_certificate_for_other_names_counts_in_the_shape(
    sni: str | None, names: list[str], misnamed: bool
) -> None:
    unread = Unread(Connect("db.test", 443, sni=sni), lambda *_: None)
    unread.saw("received", flight(certificate("CN=a", "CN=b", *names), ssl.TLSVersion.TLSv1_2))
    assert unread._shape.misnamed is misnamed
    assert unread.facts()["certificate"]["names"] == tuple(names)


def test_what_a_server_began_with_is_not_kept_once_it_is_read() -> None:
    words = flight(certificate("CN=a", "CN=a", "a"), ssl.TLSVersion.TLSv1_3)
    unread = Unread(Connect("db.test", 443), lambda *_: None)
    assert unread.looks("received")
    unread.saw("received", words + b"\x17\x03\x03\x20\x00" + bytes(8192))
    assert not unread.looks("received")
    assert (unread._flight, unread.facts()) == (None, {})
