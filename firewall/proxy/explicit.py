"""The front of an explicit proxy: HTTP CONNECT, absolute-form HTTP and SOCKS5 on one port.

It learns the destination and then steps aside: the flow goes the same road as a sandbox's. Success
is answered before the destination is judged, because only the bytes that follow say what is spoken
there, and a refusal then explains itself in that protocol.
"""

import contextlib
import socket
from collections.abc import Callable
from functools import lru_cache

from firewall import judge
from firewall.judge import Judge, fail_closed
from firewall.protocols import ProtocolError
from firewall.protocols.hosts import split_authority
from firewall.protocols.http1 import LIMIT, parse_head
from firewall.protocols.socks import Refusal, Reply, Send, Socks5Server, Target, answer
from firewall.proxy.held import Held
from firewall.proxy.loop import HANGUP, READ, Loop

HANDSHAKE_SECONDS = 10.0
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
USUAL = 512
"""Bytes of a CONNECT as most write it: a program opens many flows with the same one."""
SOCKS_CHUNK = 512
"""More than a greeting and a request hold (RFC 1928: 257 and 262 bytes, but not both at once)."""


_usual_head = lru_cache(maxsize=256)(parse_head)


class Front(Held):
    """One client's handshake. `asked(host, port)` takes the socket over.

    Host "" means that each request names its own destination (absolute-form, RFC 9112 3.2.2).
    """

    def __init__(
        self,
        loop: Loop,
        judge: Judge,
        client: socket.socket,
        asked: Callable[[str, int], None],
    ) -> None:
        super().__init__(loop, client)
        self._judge = judge
        self._asked = asked
        self._socks: Socks5Server | None = None
        self._ended = False
        self._waits_for_more = False

    def start(self) -> None:
        self._client.setblocking(False)
        self._timer = self._loop.after(HANDSHAKE_SECONDS, self._close)
        self._loop.watch(self._client.fileno(), READ, self._readable)

    def _readable(self, events: int) -> None:
        self._ended = bool(events & HANGUP)
        with fail_closed(self._judge, "explicit.handshake", self._refused):
            judge.probe("explicit.handshake")
            try:
                self._take()
            except BlockingIOError:
                self._wait_for_more(0)
            except ConnectionError:
                self._close()
            except ProtocolError as error:
                self._answer(_bad_request(str(error)))
                self._read_off()
                self._close()

    def _take(self) -> None:
        if self._socks is not None:
            self._socks5(self._socks)
            return
        data = self._client.recv(LIMIT, socket.MSG_PEEK)
        if not data:
            self._close()
        elif data.startswith(b"\x05"):
            self._socks = Socks5Server()
            self._socks5(self._socks)
        else:
            self._http(data)

    def _http(self, data: bytes) -> None:
        """Peek until the head is whole; consume it only when it is a CONNECT."""
        head = _usual_head(data) if len(data) <= USUAL else parse_head(data)
        if head is None:
            self._wait_for_more(len(data))
        elif head.method == "CONNECT":
            host, port = split_authority(head.target)
            self._client.recv(head.length)
            self._answer(ESTABLISHED)
            self._step_aside(host, port)
        elif head.target.startswith("/") or head.target == "*":
            raise ProtocolError("this is a proxy: ask with CONNECT or with a full URL")
        else:
            self._step_aside("", 0)

    def _wait_for_more(self, seen: int) -> None:
        """Be woken when there is more than was seen, not again for the same bytes."""
        if self._ended:
            self._close()
            return
        self._waits_for_more = True
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, seen + 1)

    def _socks5(self, socks: Socks5Server) -> None:
        """A client sends no byte after its request before the answer (RFC 1928 section 6)."""
        data = self._client.recv(SOCKS_CHUNK)
        if not data:
            self._close()
            return
        for event in socks.feed(data):
            match event:
                case Send(reply):
                    self._answer(reply)
                case Refusal(reply):
                    self._answer(reply)
                    self._close()
                case Target(host, port):
                    self._reach(host, port, early=bool(socks.rest))

    def _reach(self, host: str, port: int, *, early: bool) -> None:
        if early:
            self._answer(answer(Reply.GENERAL_FAILURE))
            self._close()
            return
        self._answer(answer(Reply.SUCCEEDED))
        self._step_aside(host, port)

    def _read_off(self) -> None:
        """Closing with bytes unread sends a reset, which may overtake the answer."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._client.recv(LIMIT)

    def _answer(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._client.send(data)

    def _step_aside(self, host: str, port: int) -> None:
        """The loop goes on watching the socket, for the flow that takes it over."""
        self._stop_waiting()
        if self._waits_for_more:
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._asked(host, port)


def _bad_request(reason: str) -> bytes:
    body = f"{reason}\n".encode()
    head = (
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
