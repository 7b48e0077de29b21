"""Connections to servers: dialled at judged addresses only, verified by name, kept for a while.

A connection serves one client at a time and is given on only between exchanges, so no client can
leave half an answer to another.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from socket import socket
from typing import NamedTuple

from firewall.protocols.certificates import Certificate, read_certificate
from firewall.proxy.dial import Dial
from firewall.proxy.lane.stream import Stream
from firewall.proxy.loop import Loop, Timer

HANDSHAKE_SECONDS = 10.0
KEPT_SECONDS = 30.0
"""Less than most servers keep an idle connection open."""
KEPT_PER_PLACE = 32
KEPT = 256
SESSIONS = 1024
SESSION_SECONDS = 60.0
"""How long a session is taken for the newest one. Each look at a connection's leaks a copy of it,
of some 6 KB (PySSL_get_session in CPython's Modules/_ssl.c)."""


class Place(NamedTuple):
    """What a connection leads to: the judged address, and the name that its certificate proves;
    None where it is not TLS."""

    address: str
    port: int
    name: str | None


@dataclass(slots=True, eq=False)
class Upstream:
    """A connection to a server, which has shown its `certificate` where it speaks TLS. `used` says
    that it has served an exchange already, `tied` that it is for the client alone whom the server
    knows by it."""

    stream: Stream
    place: Place
    certificate: Certificate | None = None
    used: bool = False
    tied: bool = False
    until: float = 0.0

    def rest(self) -> None:
        """Between two exchanges: its end, or bytes that nobody asked for, make it useless."""
        self.stream.readable = self.stream.drained = self._check
        self.stream.resume()

    def _check(self) -> None:
        if not self.stream.quiet():
            self.stream.close()


type Reached = Callable[[Upstream | None, str], None]
"""Called with the connection, or with None and the reason."""
type Another = Callable[[Callable[[str | None], None]], None]
"""Judges a further address and passes it on, or None where there is none."""


class Upstreams:
    """Opens connections and keeps the idle ones. `bundle` is a PEM file of trusted authorities."""

    def __init__(self, loop: Loop, bundle: str) -> None:
        self._loop = loop
        self._bundle = bundle
        self._context: ssl.SSLContext | None = None
        self._kept: dict[Place, list[Upstream]] = {}
        self._count = 0
        self._sessions: dict[Place, tuple[float, ssl.SSLSession | None]] = {}

    @property
    def idle(self) -> int:
        """How many connections are kept."""
        return self._count

    def reach(
        self, place: Place, done: Reached, another: Another, *, fresh: bool = False
    ) -> Callable[[], None]:
        """A connection that nobody else uses; returns what gives the attempt up."""
        kept = [] if fresh else self._kept.get(place, [])
        while kept:
            upstream = kept[-1]
            self._forget(upstream)
            if upstream.stream.quiet():
                done(upstream, "")
                return _nothing
            upstream.stream.close()
        return Attempt(self, self._loop, place, done, another).cancel

    def keep(self, upstream: Upstream) -> None:
        """Take back a connection on which nothing is under way."""
        full = len(self._kept.get(upstream.place, ())) >= KEPT_PER_PLACE or self._count >= KEPT
        if full or upstream.tied or not upstream.stream.quiet():
            upstream.stream.close()
            return
        self.remember(upstream)
        upstream.until = time.monotonic() + KEPT_SECONDS
        upstream.stream.drained = _nothing
        upstream.stream.readable = lambda: self._check(upstream)
        upstream.stream.resume()
        self._kept.setdefault(upstream.place, []).append(upstream)
        self._count += 1

    def expire(self, now: float) -> None:
        """Close what has been idle for too long."""
        for upstream in [each for idle in self._kept.values() for each in idle if each.until < now]:
            self._drop(upstream)

    def close(self) -> None:
        self.expire(float("inf"))

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 at least, and certificates verified as mitmproxy does (net/tls.py)."""
        if self._context is None:
            context = ssl.create_default_context(cafile=self._bundle or None)
            context.hostname_checks_common_name = False
            context.options |= ssl.OP_NO_RENEGOTIATION
            context.set_alpn_protocols(["http/1.1"])
            self._context = context
        return self._context

    def session(self, place: Place) -> ssl.SSLSession | None:
        return self._sessions.get(place, (0.0, None))[1]

    def remember(self, upstream: Upstream) -> None:
        """Keep the session that resumes this connection's TLS."""
        now = time.monotonic()
        if now < self._sessions.get(upstream.place, (0.0, None))[0]:
            return
        session = upstream.stream.session
        if len(self._sessions) >= SESSIONS:
            self._sessions.clear()
        known = session if session is not None and session.has_ticket else None
        self._sessions[upstream.place] = now + SESSION_SECONDS, known

    def _check(self, upstream: Upstream) -> None:
        """Its end, or bytes that nobody asked for, make a connection useless."""
        if not upstream.stream.quiet():
            self._drop(upstream)

    def _drop(self, upstream: Upstream) -> None:
        self._forget(upstream)
        upstream.stream.close()

    def _forget(self, upstream: Upstream) -> None:
        idle = self._kept.get(upstream.place, [])
        if upstream in idle:
            idle.remove(upstream)
            self._count -= 1
            if not idle:
                del self._kept[upstream.place]


class Attempt:
    """One connection being made: TCP, to `another` address where one is not reached, then TLS with
    the name verified."""

    def __init__(
        self, house: Upstreams, loop: Loop, place: Place, done: Reached, another: Another
    ) -> None:
        self._house = house
        self._loop = loop
        self._place = place
        self._done = done
        self._another = another
        self._over = False
        self._stream: Stream | None = None
        self._timer: Timer | None = None
        self._dial: Dial | None = None
        self._open()

    def _open(self) -> None:
        self._dial = Dial(self._loop, (self._place.address, self._place.port), self._dialled)

    def cancel(self) -> None:
        """Give up silently."""
        self._over = True
        if self._dial is not None:
            self._dial.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._stream is not None:
            self._stream.abort()

    def _dialled(self, connected: socket | None, reason: str) -> None:
        self._dial = None
        if connected is None:
            why = f"{reason} by {self._place.address} port {self._place.port}"
            self._another(partial(self._elsewhere, why))
            return
        stream = Stream(self._loop, connected, _nothing, _nothing)
        self._stream = stream
        if self._place.name is None:
            self._reached(stream)
            return
        self._timer = self._loop.after(HANDSHAKE_SECONDS, self._late)
        session = self._house.session(self._place)
        try:
            stream.secure(self._house.context(), self._shaken, self._place.name, session)
        except (OSError, ValueError) as error:
            self._failed(error)

    def _elsewhere(self, why: str, address: str | None) -> None:
        if self._over:
            return
        if address is None:
            self._done(None, why)
            return
        self._place = self._place._replace(address=address)
        self._open()

    def _shaken(self, failure: OSError | None) -> None:
        if failure is not None:
            self._failed(failure)
        elif self._stream is not None:
            self._reached(self._stream)

    def _late(self) -> None:
        self._failed(TimeoutError(f"no TLS handshake within {HANDSHAKE_SECONDS:.0f} seconds"))

    def _failed(self, error: Exception) -> None:
        self.cancel()
        self._done(None, _in_words(error))

    def _reached(self, stream: Stream) -> None:
        self._stream = None
        if self._timer is not None:
            self._timer.cancel()
        shown = stream.certificate
        known = read_certificate(shown) if shown is not None else None
        self._done(Upstream(stream, self._place, known), "")


def _in_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Certificate verify failed: {error.verify_message.lower()}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"no TLS with the server: {error.reason.lower().replace('_', ' ')}"
    return f"no TLS with the server: {error}"


def _nothing() -> None:
    """Nobody waits."""
