"""The last word arrives, and its listener cannot keep the loop by talking on."""

import socket

from firewall.proxy.farewell import Farewell
from firewall.proxy.loop import Loop
from tests.unit.proxy.test_relay import _tcp_pair

WORDS = b"no"


def test_the_words_arrive_and_then_the_end() -> None:
    client, inner = _tcp_pair()
    loop = Loop()
    inner.setblocking(False)
    with client:
        client.sendall(b"hello")
        Farewell(loop, inner, WORDS)
        assert client.recv(10) == WORDS
        client.shutdown(socket.SHUT_WR)
        loop.after(0.1, loop.stop)
        loop.run()
        assert inner.fileno() < 0, "closed once the client has ended"
    loop.close()


class Torrent:
    """A socket that always has more to read, as a client with many senders keeps it."""

    def __init__(self, inner: socket.socket) -> None:
        self.inner = inner
        self.reads = 0

    def recv(self, size: int) -> bytes:
        self.reads += 1
        assert self.reads < 1000, "the loop is kept"
        return b"x"

    def fileno(self) -> int:
        return self.inner.fileno()


def test_a_client_that_never_stops_does_not_keep_the_loop() -> None:
    client, inner = _tcp_pair()
    loop = Loop()
    inner.setblocking(False)
    with client, inner:
        farewell = Farewell(loop, inner, WORDS)
        torrent = Torrent(inner)
        farewell._client = torrent  # type: ignore[assignment]
        farewell._readable(0)
        assert torrent.reads == 1, "one chunk for each turn of the loop"
        farewell._timer.cancel()
        loop.forget(inner.fileno())
    loop.close()
