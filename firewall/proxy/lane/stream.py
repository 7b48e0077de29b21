"""One side of an inspected flow: a socket, in TLS or not, that is never waited for."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from select import EPOLLERR, EPOLLHUP

from firewall.proxy.loop import READ, WRITE, Loop
from firewall.proxy.relay import keep_alive, reset_on_close

RECORD = 1 << 14
"""A TLS record's content (RFC 8446, 5.1): so much is read at a time, and nothing stays inside."""
TURN = 4
"""Records read before other flows have their turn: what comes compressed may take a microsecond a
byte to look at."""
HIGH_WATER = 256 << 10
"""Bytes that may wait to be sent before the other side is not read any more."""

_WAITS = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)

type Shaken = Callable[[OSError | None], None]


class Stream:
    """Calls `readable` when there is something to read, also the end, and `drained` when what
    waited has been sent. Whatever these raise is the loop's; an owner guards itself."""

    def __init__(
        self,
        loop: Loop,
        end: socket.socket,
        readable: Callable[[], None],
        drained: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._socket = end
        self.readable = readable
        self.drained = drained
        self._out = b""
        self.sent = 0
        """Bytes that the kernel has taken."""
        self.farewell = True
        """Whether TLS is closed with an alert: all has been said (RFC 8446, 6.1)."""
        self._fault: OSError | None = None
        self._paused = False
        self._closing = False
        self._ending = False
        self._shaking: Shaken | None = None
        self._events = READ
        end.setblocking(False)
        keep_alive(end)
        loop.watch(end.fileno(), READ, self._ready)

    @property
    def open(self) -> bool:
        return self._socket.fileno() >= 0

    @property
    def waits(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._out)

    @property
    def full(self) -> bool:
        """Whether enough waits to be sent."""
        return len(self._out) > HIGH_WATER

    def secure(
        self,
        context: ssl.SSLContext,
        done: Shaken,
        name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """Speak TLS from here on, as the client of the server `name` or else as a server."""
        self._loop.forget(self._socket.fileno())
        self._socket = context.wrap_socket(
            self._socket,
            server_side=name is None,
            server_hostname=name,
            do_handshake_on_connect=False,
            # Without an alert an answer without a length may be cut (RFC 9112, 9.8).
            suppress_ragged_eofs=name is None,
            session=session,
        )
        self._loop.watch(self._socket.fileno(), READ, self._ready)
        self._events = READ
        self._shaking = done
        self._shake()

    @property
    def session(self) -> ssl.SSLSession | None:
        """What resumes this TLS session, once the server has sent it."""
        return self._socket.session if isinstance(self._socket, ssl.SSLSocket) else None

    @property
    def certificate(self) -> bytes | None:
        """What the server has shown of itself, in DER; None without TLS."""
        secure = self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return secure.getpeercert(binary_form=True) if secure is not None else None

    def read(self) -> bytes | None:
        """What has come; b"" at the end, None where nothing has. Raises OSError; SSLEOFError for
        a server's end without an alert."""
        if self._fault is not None:
            raise self._fault
        try:
            first = self._socket.recv(RECORD)
        except _WAITS:
            return None
        return first if len(first) < RECORD else self._read_on(first)

    def _read_on(self, first: bytes) -> bytes:
        """A full record, and what has come behind it."""
        pieces = [first]
        try:
            while len(pieces) < TURN and len(pieces[-1]) == RECORD:
                pieces.append(self._socket.recv(RECORD))
        except _WAITS:
            pass
        except OSError as fault:
            self._fault = fault
        return b"".join(pieces)

    def quiet(self) -> bool:
        """Whether it is open and nothing has come that nobody has asked for."""
        try:
            return self.open and (self._is_bare() or self.read() is None)
        except OSError:
            return False

    def _is_bare(self) -> bool:
        """Whether the kernel has nothing, so that TLS has nothing either (see RECORD)."""
        try:
            socket.socket.recv(self._socket, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return self._fault is None
        return False

    def send(self, data: bytes) -> None:
        """Send now or as soon as possible. Raises OSError where the other side is gone."""
        self._out = self._out + data if self._out else data
        if not self._events & WRITE:
            self._flush()

    def pause(self) -> None:
        """Read no more for now; the loop is told when there is something to read."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._watch()

    def later(self, call: Callable[[], None]) -> None:
        """Run `call` once other flows have had their turn."""
        self._loop.post(call)

    def finish(self) -> None:
        """Close once all is sent."""
        self._closing = True
        self._paused = True
        if not self._out:
            self.close()

    def end_sending(self) -> None:
        """Tell a peer in the clear that nothing more will come, once all is sent (half-close)."""
        self._ending = True
        if self._out:
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if not self.open:
            return
        self._loop.forget(self._socket.fileno())
        if isinstance(self._socket, ssl.SSLSocket) and self._shaking is None and self.farewell:
            with contextlib.suppress(OSError, ValueError):
                self._socket.unwrap()
        self._socket.close()

    def abort(self) -> None:
        """Close with a reset, so that nobody takes a cut for a proper end."""
        if self.open:
            self._loop.forget(self._socket.fileno())
            reset_on_close(self._socket)
            self._socket.close()

    def _ready(self, events: int) -> None:
        if self._shaking is not None:
            self._shake()
            return
        if events & WRITE:
            self._drain()
        if self.open and events & ~WRITE:
            self._arrived(events)

    def _arrived(self, events: int) -> None:
        if not self._paused:
            self.readable()
        elif events & (EPOLLERR | EPOLLHUP):
            # Nobody is there any more, and the kernel would go on saying so.
            self.abort()
            self.drained()
        else:
            self._watch()

    def _drain(self) -> None:
        try:
            self._flush()
        except OSError:
            self._out = b""
            if not self._paused:
                self.readable()  # what was said before is still to be read
            if self.open:
                self.abort()
                self.drained()
            return
        if self._out:
            return
        if self._ending:
            self.end_sending()
        if self._closing:
            self.close()
        self.drained()

    def _flush(self) -> None:
        sent, size = 0, len(self._out)
        try:
            sent = self._socket.send(self._out)
            while sent < size:
                sent += self._socket.send(memoryview(self._out)[sent:])
        except _WAITS:
            pass
        self.sent += sent
        self._out = self._out[sent:] if sent < size else b""
        self._watch()

    def _watch(self) -> None:
        """Ask the loop for what matters now."""
        wanted = (0 if self._paused else READ) | (WRITE if self._out else 0)
        if wanted != self._events and self.open:
            self._events = wanted
            self._loop.change(self._socket.fileno(), wanted)

    def _shake(self) -> None:
        assert isinstance(self._socket, ssl.SSLSocket)
        failure: OSError | None = None
        try:
            self._socket.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wait:
            self._events = WRITE if isinstance(wait, ssl.SSLWantWriteError) else READ
            self._loop.change(self._socket.fileno(), self._events)
            return
        except OSError as error:
            failure = error
        done, self._shaking = self._shaking, None
        self._watch()
        if done is not None:
            done(failure)
