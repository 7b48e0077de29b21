"""What Python can do: a tunnel relay on epoll with nothing else in it. No policy, no record.

    python bare.py PORT

It reads a CONNECT, peeks at the ClientHello, dials 127.0.0.1 at the port that was asked for, and
moves bytes with splice. The measure of what judging, recording and counting add.
"""

import contextlib
import os
import select
import socket
import sys
from collections.abc import Callable

SIZE = 1 << 18
EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Bare:
    """One thread's loop and all its flows."""

    def __init__(self, port: int) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._watch(self._listener, self._accept, select.EPOLLIN)

    def run(self) -> None:
        """Serve until killed."""
        while True:
            for fd, _ in self._epoll.poll(-1, 512):
                if handler := self._handlers.get(fd):
                    with contextlib.suppress(OSError):  # it must wait, or the client is gone
                        handler()

    def _watch(self, end: socket.socket, handler: Callable[[], None], events: int) -> None:
        self._epoll.register(end.fileno(), events)
        self._handlers[end.fileno()] = handler

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            client.setblocking(False)
            self._watch(client, lambda client=client: self._asked(client), EVENTS)  # type: ignore[misc]

    def _asked(self, client: socket.socket) -> None:
        head = client.recv(4096)
        if not head:
            self._forget(client)
            return
        port = int(head.split(b" ", 2)[1].rpartition(b":")[2])
        client.send(b"HTTP/1.1 200 OK\r\n\r\n")
        self._handlers[client.fileno()] = lambda: self._dial(client, port)

    def _dial(self, client: socket.socket, port: int) -> None:
        if client.recv(1 << 16, socket.MSG_PEEK)[:1] != b"\x16":
            return
        upstream = socket.socket()
        upstream.setblocking(False)
        for end in (client, upstream):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upstream.connect_ex(("127.0.0.1", port))
        pair = [[client, upstream, None, 0], [upstream, client, None, 0]]
        self._handlers[client.fileno()] = lambda: self._pump(pair)
        self._watch(upstream, lambda: self._pump(pair), EVENTS)

    def _pump(self, pair: list[list]) -> None:  # type: ignore[type-arg]
        try:
            for way in pair:
                with contextlib.suppress(BlockingIOError):
                    self._move(way)
        except OSError:
            self._end(pair)

    def _move(self, way: list) -> None:  # type: ignore[type-arg]
        source, target = way[0].fileno(), way[1].fileno()
        while True:
            if not way[3]:
                way[2] = way[2] or os.pipe2(os.O_NONBLOCK)
                way[3] = os.splice(source, way[2][1], SIZE, flags=_FLAGS)
            if not way[3]:
                raise ConnectionError
            while way[3]:
                way[3] -= os.splice(way[2][0], target, way[3], flags=_FLAGS)

    def _end(self, pair: list[list]) -> None:  # type: ignore[type-arg]
        for end, _, pipe, _ in pair:
            self._forget(end)
            for each in pipe or ():
                os.close(each)

    def _forget(self, end: socket.socket) -> None:
        self._handlers.pop(end.fileno(), None)
        end.close()


if __name__ == "__main__":
    Bare(int(sys.argv[1])).run()
