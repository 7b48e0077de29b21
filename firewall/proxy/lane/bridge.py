"""From the lane to depth in the middle of a connection: what was read, and all that follows.

Depth gets one end of a connection of this machine's own, and judges what comes through it as if
the client itself were there.
"""

import contextlib
import socket
from collections.abc import Callable

from firewall import judge
from firewall.proxy.handover import Traffic
from firewall.proxy.lane.stream import Stream
from firewall.proxy.loop import Loop

type Guard = Callable[[], contextlib.AbstractContextManager[None]]


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets with addresses, which mitmproxy's log needs of every client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        while True:
            ours = socket.create_connection(listener.getsockname())
            theirs, address = listener.accept()
            if address == ours.getsockname():
                return ours, theirs
            # Another program of this machine was faster.
            ours.close()
            theirs.close()


class Bridge:
    """Moves bytes both ways until both sides have ended, counted in `traffic`. Whatever `guard`
    catches ends it. `waiting` is told whether bytes wait for the client to take them."""

    def __init__(
        self,
        loop: Loop,
        client: Stream,
        ours: socket.socket,
        held: bytes,
        guard: Guard,
        traffic: Traffic,
        closed: Callable[[], None],
        waiting: Callable[[bool], None],
    ) -> None:
        self._client = client
        self._depth = Stream(loop, ours, self._from_depth, self._drained)
        self._guard = guard
        self._traffic = traffic
        self._closed = closed
        self._waiting = waiting
        self._ended = False
        client.readable, client.drained = self._from_client, self._drained
        self._depth.send(held)
        client.resume()

    def abort(self) -> None:
        """Cut both sides."""
        self._client.abort()
        self._depth.abort()

    def _from_client(self) -> None:
        with self._guard():
            judge.probe("lane.bridge")
            try:
                data = self._client.read()
                if data:
                    self._traffic.sent += len(data)
                    self._move(data, self._client, self._depth)
                elif data is not None:
                    self._ended = True
                    self._client.pause()
                    self._depth.end_sending()
            except OSError:
                self._lost()

    def _from_depth(self) -> None:
        with self._guard():
            judge.probe("lane.bridge")
            try:
                data = self._depth.read()
                if data:
                    self._traffic.received += len(data)
                    self._move(data, self._depth, self._client)
                    self._waiting(self._client.waits)
                elif data is not None:
                    self._depth.close()
                    self._drained()
            except OSError:
                self._lost()

    def _move(self, data: bytes, source: Stream, target: Stream) -> None:
        target.send(data)
        if target.full:
            source.pause()

    def _drained(self) -> None:
        if not (self._client.open and self._depth.open):
            self._depth.close()
            self._client.finish()
            if not self._client.open:
                self._closed()
            return
        self._waiting(self._client.waits)
        # One side may have been sent all while the other still takes nothing.
        if not self._client.full:
            self._depth.resume()
        if not (self._ended or self._depth.full):
            self._client.resume()

    def _lost(self) -> None:
        self.abort()
        self._closed()
