"""DNS over TCP in the sandbox: the same answers as over UDP.

Each message follows its length in two bytes (RFC 1035 4.2.2). A connection to port 53 that does not
begin with a question steps aside and goes the road of every other connection.
"""

import contextlib
import socket
import struct
from collections.abc import Callable

from firewall import judge
from firewall.actor import Actor
from firewall.judge import Judge, fail_closed
from firewall.proxy.actors import Found
from firewall.proxy.dns import Resolution, parse
from firewall.proxy.held import Held
from firewall.proxy.loop import EDGE, HANGUP, READ, Loop

OPENING_SECONDS = 2.0
IDLE_SECONDS = 10.0
"""How long a client may take for its next question; RFC 7766 6.2.3 asks for a few seconds."""
PREFIX = 2
CHUNK = PREFIX + (1 << 16)

_HEADER = struct.Struct("!2xHHHH")
"""RFC 1035 4.1.1: past the id, flags and the counts of questions, answers and authorities."""
_NOT_A_QUERY = 0xF80F
"""QR, opcode and rcode: all zero in a standard query."""


class DnsConnection(Held):
    """One connection to port 53, from its first bytes on.

    `step_aside` takes the socket over, with nothing consumed, if it does not speak DNS.
    """

    def __init__(
        self,
        loop: Loop,
        judge: Judge,
        resolution: Resolution,
        client: socket.socket,
        facts: dict[str, object],
        find_actor: Callable[[Found], None],
        step_aside: Callable[[], None],
    ) -> None:
        super().__init__(loop, client)
        self._judge = judge
        self._resolution = resolution
        self._facts = facts
        self._find_actor = find_actor
        self._step_aside = step_aside
        self._actor = Actor(sandbox="unknown")
        self._received = b""

    def start(self) -> None:
        self._client.setblocking(False)
        self._timer = self._loop.after(OPENING_SECONDS, self._give_up)
        self._loop.watch(self._client.fileno(), READ | EDGE, self._opening)

    # The first message, which is only peeked at

    def _opening(self, events: int) -> None:
        with self._enforced("dns_tcp.opening"):
            judge.probe("dns_tcp.opening")
            asks = begins_with_question(self._read(socket.MSG_PEEK))
            if asks:
                self._forget()
                self._find_actor(self._found)
            elif asks is False or events & HANGUP:
                self._give_up()

    def _read(self, flags: int) -> bytes:
        """What there is; nothing also when the client is gone."""
        try:
            return self._client.recv(CHUNK, flags)
        except OSError:
            return b""

    def _give_up(self) -> None:
        self._forget()
        self._step_aside()

    # Questions and answers, one by one: nothing is read while one waits for its answer

    def _found(self, actor: Actor) -> None:
        with self._enforced("dns_tcp.actor"):
            judge.probe("dns_tcp.actor")
            self._actor = actor
            self._next()

    def _next(self) -> None:
        with self._enforced("dns_tcp.question"):
            judge.probe("dns_tcp.question")
            wire = first_message(self._received)
            if wire is None:
                self._timer = self._loop.after(IDLE_SECONDS, self._close)
                self._loop.watch(self._client.fileno(), READ, self._readable)
                return
            self._received = self._received[PREFIX + len(wire) :]
            if not self._resolution.answer(wire, self._actor, self._facts, self._reply):
                self._reset()

    def _readable(self, events: int) -> None:
        self._forget()
        data = self._read(0)
        self._received += data
        if data:
            self._next()
        else:
            self._close()

    def _reply(self, answer: bytes) -> None:
        message = len(answer).to_bytes(PREFIX) + answer
        with contextlib.suppress(OSError):
            if self._client.send(message) == len(message):
                self._loop.post(self._next)
                return
        self._reset()

    # The end

    def _enforced(self, point: str) -> contextlib.AbstractContextManager[None]:
        return fail_closed(self._judge, point, self._refused, actor=self._actor)


def begins_with_question(data: bytes) -> bool | None:
    """Whether a client's first bytes are a DNS query; None while that cannot be said."""
    if len(data) < PREFIX + _HEADER.size:
        return None
    flags, questions, answers, authorities = _HEADER.unpack_from(data, PREFIX)
    if flags & _NOT_A_QUERY or (questions, answers, authorities) != (1, 0, 0):
        return False
    wire = first_message(data)
    return None if wire is None else parse(wire) is not None


def first_message(data: bytes) -> bytes | None:
    """The first length-prefixed message, or None while it is not whole."""
    size = int.from_bytes(data[:PREFIX])
    whole = len(data) >= PREFIX and len(data) >= PREFIX + size
    return data[PREFIX : PREFIX + size] if whole else None
