"""UDP: DNS is answered, the rest is denied once and recorded, and nothing gets out."""

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest

import firewall.judge
from firewall.actor import Actor
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.proxy.actors import Endpoint, Found
from firewall.proxy.loop import Loop
from firewall.proxy.names import Names
from firewall.proxy.udp import (
    IP_ORIGDSTADDR,
    IPV6_ORIGDSTADDR,
    UdpListener,
    original_destination,
    unmapped,
)
from tests.unit.proxy.stage import CURL, Memory

CLIENT = ("10.0.0.2", 40000)
RESOLVER = ("192.0.2.53", 53)
QUIC = ("192.0.2.1", 443)


class Listener:
    """Stands in for the transparent socket: gives out datagrams with their destinations."""

    def __init__(self) -> None:
        self.waiting: list[tuple[bytes, Endpoint]] = []
        self._socket, self.writer = socket.socketpair()

    def fileno(self) -> int:
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def recvmsg(
        self, size: int, room: int
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, Endpoint]:
        if not self.waiting:
            raise BlockingIOError
        data, (host, port) = self.waiting.pop(0)
        wire = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host)
        ancillary = [(socket.IPPROTO_IP, IP_ORIGDSTADDR, wire + bytes(8))]
        return data, ancillary, 0, ("::ffff:" + CLIENT[0], CLIENT[1])

    def close(self) -> None:
        self._socket.close()
        self.writer.close()


class Reply:
    """Stands in for the socket that answers from the asked address."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Endpoint]] = []

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def sendto(self, data: bytes, client: Endpoint) -> None:
        self.sent.append((data, client))

    def close(self) -> None:
        self.sent.clear()


class Bench:
    def __init__(self, folder: Path) -> None:
        path = folder / "policy.yaml"
        path.write_text("version: 1\nname: t\n")
        self.memory, self.loop, self.listener, self.reply = Memory(), Loop(), Listener(), Reply()
        self.opened: list[Endpoint] = []
        judge = Judge(load_policy(path), self.memory, self.memory, self.memory)
        self.udp = UdpListener(
            self.loop,
            judge,
            Names(),
            self.listener,  # type: ignore[arg-type]
            self._open,
            self._find,
            original_destination,
        )

    def _open(self, source: Endpoint, family: int) -> socket.socket:
        self.opened.append(source)
        return self.reply  # type: ignore[return-value]

    def _find(self, client: Endpoint, destination: Endpoint, found: Found) -> None:
        assert client == CLIENT
        found(Actor("test", CURL))

    def send(self, *datagrams: tuple[bytes, Endpoint]) -> None:
        self.listener.waiting += datagrams
        self.listener.writer.send(b"!")
        self._stop_after(10)
        self.loop.run()

    def _stop_after(self, turns: int) -> None:
        """Each is long enough for all that is ready by then."""
        if turns:
            self.loop.post(lambda: self._stop_after(turns - 1))
        else:
            self.loop.stop()

    def close(self) -> None:
        self.udp.close()
        self.loop.close()
        self.listener.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_a_question_is_answered_from_the_address_that_was_asked(bench: Bench) -> None:
    query = dns.message.make_query("a.test", "A")
    bench.send((query.to_wire(), RESOLVER))
    ((answer, client),) = bench.reply.sent
    assert client == CLIENT
    assert query.is_response(dns.message.from_wire(answer))
    assert bench.opened == [RESOLVER]
    assert bench.memory.records[0]["actor"]["process"]["pid"] == CURL.pid


def test_other_datagrams_are_denied_and_recorded_once(bench: Bench) -> None:
    bench.send(*[(b"\xc3quic", QUIC)] * 3)
    assert bench.memory.verdicts() == [("deny", "default")]
    assert bench.memory.records[0]["request"]["transport"] == "udp"
    assert bench.reply.sent == []


def test_a_flood_is_dropped_while_its_senders_are_looked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firewall.proxy.udp.WAITING", 3)
    waiting: list[Found] = []
    monkeypatch.setattr(bench.udp, "_find_actor", lambda *each: waiting.append(each[2]))
    bench.send(*[(b"x", ("192.0.2.9", port)) for port in range(1000, 1010)])
    assert len(waiting) == 3
    for found in waiting:
        found(Actor("test", CURL))
    assert len(bench.memory.verdicts()) == 3
    bench.send((b"x", ("192.0.2.9", 2000)))
    assert len(waiting) == 4, "room again"


def test_a_client_that_goes_on_is_recorded_again_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.send((b"quic", QUIC))
    now = time.monotonic()
    monkeypatch.setattr("firewall.proxy.udp.time.monotonic", lambda: now + 60)
    bench.udp._is_new(CLIENT, QUIC)
    assert bench.udp._recorded[CLIENT, QUIC] == now + 60


def test_garbage_on_the_dns_port_gets_no_answer(bench: Bench) -> None:
    bench.send((b"garbage", RESOLVER))
    assert bench.reply.sent == []


@pytest.mark.parametrize("point", ["udp.datagram", "udp.judge"])
def test_a_fault_is_a_recorded_deny(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    def fault(reached: str) -> None:
        if reached == point:
            raise RuntimeError("injected")

    monkeypatch.setattr(firewall.judge, "probe", fault)
    bench.send((dns.message.make_query("a.test", "A").to_wire(), RESOLVER))
    assert bench.memory.verdicts() == [("deny", f"fail-closed.{point}")]
    assert bench.reply.sent == []


def test_an_ipv6_destination_is_read() -> None:
    address = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    wire = (
        struct.pack("=H", socket.AF_INET6) + struct.pack("!H", 443) + bytes(4) + address + bytes(4)
    )
    found = original_destination([(socket.IPPROTO_IPV6, IPV6_ORIGDSTADDR, wire)], CLIENT)
    assert found == ("2001:db8::1", 443)


def test_a_datagram_without_its_destination_is_an_error() -> None:
    with pytest.raises(ValueError, match="without its original destination"):
        original_destination([], CLIENT)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::ffff:10.0.0.2", "10.0.0.2"),
        ("10.0.0.2", "10.0.0.2"),
        ("fd00::2", "fd00::2"),
        ("fe80::1%lo", "fe80::1"),
    ],
)
def test_unmapped(address: str, expected: str) -> None:
    assert unmapped(address) == expected


def test_a_denied_datagram_is_named(bench: Bench) -> None:
    bench.send((b"\1\0\0\0" + bytes(144), QUIC))
    assert bench.memory.verdicts() == [("deny", "guards.tunnels")]
    request = bench.memory.records[0]["request"]
    assert request["protocol"] == "wireguard"
    assert request["findings"][0]["evidence"] == "WireGuard handshake initiation of 148 bytes"
