"""RFC 5424 messages in RFC 5425 frames, and what counts as acknowledged."""

import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from firewall.audit.ship import Item, NotTakenError, Settings, open_sink
from firewall.audit.ship.syslog import element
from tests.unit.audit.ship.far import item

MESSAGE = re.compile(
    r"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (\S+) (\S+) (\S+) (\S+) "
    r"(\[.*?[^\\]\]) \ufeff(.*)",
    re.DOTALL,
)


class Receiver:
    """A TLS syslog server that ends each connection as `ending` says."""

    def __init__(self, authority: trustme.CA) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self.context)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ending = "unwrap"
        self.messages: list[bytes] = []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def close(self) -> None:
        self.ending = "end"
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join()
        self.listener.close()

    def _serve(self) -> None:
        while self.ending != "end":
            plain, _ = self.listener.accept()
            with plain:
                try:
                    with self.context.wrap_socket(plain, server_side=True) as peer:
                        self._receive(peer)
                except OSError:
                    continue

    def _receive(self, peer: ssl.SSLSocket) -> None:
        if self.ending == "reset":
            peer.recv(1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if self.ending == "leave":
            return
        data = b""
        while more := peer.recv(1 << 16):
            data += more
        self.messages += frames(data)
        if self.ending == "unwrap":
            peer.unwrap()


def frames(data: bytes) -> Iterator[bytes]:
    while data:
        length, _, rest = data.partition(b" ")
        assert length.isdigit()
        assert not length.startswith(b"0")
        yield rest[: int(length)]
        assert len(rest) >= int(length)
        data = rest[int(length) :]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return authority, path


@pytest.fixture
def receiver(authority: tuple[trustme.CA, Path]) -> Iterator[Receiver]:
    server = Receiver(authority[0])
    yield server
    server.close()


def send(receiver: Receiver, ca: Path | None, items: list[Item], source: str = "host1") -> int:
    sink = open_sink(f"syslog+tls://localhost:{receiver.port}", Settings(source, ca=ca))
    return sink.send(items)


def test_each_record_is_one_message(receiver: Receiver, authority: tuple[trustme.CA, Path]) -> None:
    items = [item(seq=seq) for seq in (1, 2, 3)]
    assert send(receiver, authority[1], items) == 0
    assert len(receiver.messages) == 3
    for message, sent in zip(receiver.messages, items, strict=True):
        found = MESSAGE.fullmatch(message.decode())
        assert found
        assert found[1] == str(13 * 8 + 2)
        assert found.group(3, 4, 5, 6) == ("host1", "agent-firewall", "-", "verdict")
        assert found[7] == (
            f'[agentFirewall@32473 chain="gate-0" seq="{sent.seq}" hash="{sent.hash}"]'
        )
        assert found[8].encode() + b"\n" == sent.line


def test_odd_names_stay_in_their_fields(
    receiver: Receiver, authority: tuple[trustme.CA, Path]
) -> None:
    send(receiver, authority[1], [item({"kind": "a b\n" + "x" * 40})], "ho st\u00e9")
    found = MESSAGE.fullmatch(receiver.messages[0].decode())
    assert found
    assert found.group(3, 6) == ("ho_st_", ("a_b_" + "x" * 28))


def test_escaping() -> None:
    assert element({"x": 'a"b\\c]d'}) == '[agentFirewall@32473 x="a\\"b\\\\c\\]d"]'


def test_an_end_without_close_notify_is_one(
    receiver: Receiver, authority: tuple[trustme.CA, Path]
) -> None:
    receiver.ending = "close"
    assert send(receiver, authority[1], [item()]) == 0
    assert len(receiver.messages) == 1


@pytest.mark.parametrize("ending", ["reset", "leave"])
def test_a_receiver_that_does_not_read_has_nothing(
    receiver: Receiver, authority: tuple[trustme.CA, Path], ending: str
) -> None:
    receiver.ending = ending
    with pytest.raises(NotTakenError):
        send(receiver, authority[1], [item(seq=seq) for seq in range(1, 400)])
    receiver.ending = "unwrap"
    assert send(receiver, authority[1], [item()]) == 0


def test_a_receiver_that_is_not_trusted(receiver: Receiver) -> None:
    with pytest.raises(NotTakenError, match="CERTIFICATE_VERIFY_FAILED"):
        send(receiver, None, [item()])
