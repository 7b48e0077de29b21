"""One client on the fast lane: its TLS ends here, its requests are judged one after the other.

head -> judge -> record -> server -> answer. What the lane does not know goes on to depth, from the
first byte of the request that it did not know.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from firewall import judge
from firewall.judge import fail_closed
from firewall.protocols import ProtocolError, identify
from firewall.protocols.certificates import Certificate
from firewall.protocols.http1 import Head
from firewall.protocols.http1body import Counted
from firewall.proxy.handover import Handover, Traffic
from firewall.proxy.http import pages
from firewall.proxy.http.pages import Page
from firewall.proxy.http.watching import CARRIER
from firewall.proxy.lane import messages
from firewall.proxy.lane.bridge import Bridge, pair
from firewall.proxy.lane.exchange import Exchange
from firewall.proxy.lane.heads import Heads
from firewall.proxy.lane.house import House
from firewall.proxy.lane.judging import Judging
from firewall.proxy.lane.messages import Rest
from firewall.proxy.lane.server import Server
from firewall.proxy.lane.stream import Stream
from firewall.proxy.lane.upstream import Reached, Upstream
from firewall.requests import Connect, Direction, Finding, HttpRequest
from firewall.verdict import Verdict

FIRST_SECONDS = 10
"""For the TLS handshake and a request's head, from its first byte on."""
IDLE_SECONDS = 900
"""Without a byte in either direction; model APIs think for minutes."""
DISCARD_SECONDS = 10
EAGER = 4 << 10
"""A longer head is looked at only when a line ends, or bytes that drip cost by their square."""
AHEAD_LIMIT = 64 << 10
"""Bytes that a client may send ahead of an answer before it is not read any more."""


class Visit:
    """Serves `given` until it ends, then calls `done` with what was carried."""

    def __init__(
        self,
        house: House,
        given: Handover,
        client: socket.socket,
        done: Callable[[Traffic], None],
        others: Sequence[Connect] = (),
    ) -> None:
        self.client = Stream(house.loop, client, self._arrived, self._drained)
        self._house = house
        self._given = given
        self._done = done
        self._tls = given.protocol == "tls"
        self._traffic = Traffic()
        self._buffer = b""
        self._heads = Heads(given)
        self._exchange: Exchange | None = None
        self._bridge: Bridge | None = None
        self._taken = 0
        self._rest: Rest | None = None
        self._parting = False
        self._over = False
        self.deadline = time.monotonic() + FIRST_SECONDS
        self._judging = Judging(house, given, others)
        self._server = Server(house.upstreams, given, partial(self._judging.another, self.guard))

    def start(self) -> None:
        with self.guard("lane.start"):
            judge.probe("lane.start")
            if self._tls:
                self.client.pause()
                name = self._given.sni or self._given.host
                self._house.certificates.context(name, self._certified)

    def late(self) -> None:
        """Its deadline has passed. What began to be a request is judged all the same, by depth."""
        if self._bridge is not None and self.client.sent > self._taken:
            self._taken = self.client.sent
            self._touch()
        elif self._buffer and self._exchange is None and not self._parting:
            with self.guard("lane.late"):
                judge.probe("lane.late")
                self._go_deep()
        else:
            self.abort()

    def abort(self) -> None:
        """Cut the flow, whatever it is doing."""
        if self._bridge is not None:
            self._bridge.abort()
        if self._exchange is not None:
            self._exchange.drop()
        self.client.abort()
        self._end()

    # TLS with the client

    def _certified(self, context: ssl.SSLContext | None, reason: str) -> None:
        with self.guard("lane.certified"):
            judge.probe("lane.certified")
            if self._over:
                return
            if context is None:
                raise ssl.SSLError(reason)
            self.client.resume()
            self.client.secure(context, self._shaken)

    def _shaken(self, failure: OSError | None) -> None:
        if failure is not None:
            self.abort()

    # Requests

    def _arrived(self) -> None:
        with self.guard("lane.read"):
            judge.probe("lane.read")
            try:
                data = self.client.read()
            except OSError:
                self.abort()
                return
            if data:
                self._traffic.sent += len(data)
                self._take(data)
            elif data is not None:
                self._client_ended()

    def _take(self, data: bytes) -> None:
        exchange = self._exchange
        if self._rest is not None:
            self._discard(self._rest, data)
        elif exchange is None:
            if not self._buffer:
                self.deadline = time.monotonic() + FIRST_SECONDS
            self._buffer += data
            if b"\n" in data or len(self._buffer) < EAGER:
                self._next()
        elif exchange.wants_more:
            self._touch()
            exchange.take(data)
        else:
            self._buffer += data
            if len(self._buffer) > AHEAD_LIMIT:
                self.client.pause()

    def _client_ended(self) -> None:
        """It says no more; an answer on its way is still for it."""
        self.client.pause()
        self._parting = True
        if self._exchange is None or self._rest is not None:
            self._part()
        elif self._exchange.wants_more:
            self._exchange.client_ended()

    def _next(self) -> None:
        """Take the next request, if its head is complete."""
        try:
            head = self._heads.read(self._buffer)
        except ProtocolError:
            self._go_deep()
            return
        if head is not None and messages.fits(head):
            self._judge(head)
        elif head is not None or identify(self._buffer) is not None:
            self._go_deep()

    def _judge(self, head: Head) -> None:
        vault = self._house.judge.vault
        exchange = Exchange(self, head, self._heads.describe(vault), self._heads.onward, vault)
        self._exchange = exchange
        self._touch()
        if self._house.judge.needs_body(exchange.asked, self._given.actor):
            self._go_deep()
            return
        self._judging.decide(exchange.asked, partial(self._go_on, exchange))

    def _go_on(self, exchange: Exchange, verdict: Verdict) -> None:
        with self.guard("lane.verdict"):
            judge.probe("lane.verdict")
            standing = self._judging.standing(verdict)
            if self._over or exchange.over:
                return
            if standing.allowed and standing.obligations.deep:
                self._go_deep()
                return
            self._buffer = self._buffer[exchange.head.length :]
            if standing.allowed:
                limited = standing.obligations.limits
                exchange.start(self._judging.meter(exchange.asked, standing) if limited else None)
            else:
                self.refuse(standing)

    # What an exchange needs (exchange.Host)

    def guard(self, point: str) -> contextlib.AbstractContextManager[None]:
        """Whatever fails inside is a recorded deny of the request at hand."""
        asked = self._exchange.asked if self._exchange else None
        door, actor = self._house.judge, self._given.actor
        return fail_closed(door, point, self._failed, request=asked, actor=actor)

    def reach(self, done: Reached, *, repeatable: bool, fresh: bool) -> None:
        self._server.reach(done, repeatable=repeatable, fresh=fresh)

    def judge_finding(
        self,
        direction: Direction,
        findings: Sequence[Finding],
        settled: Callable[[Verdict], None],
        carrier: str = CARRIER,
    ) -> None:
        asked = self._exchange.asked if self._exchange else None
        self._judging.finding(carrier, direction, findings, asked, settled, self.guard)

    def knows(self, certificate: Certificate | None) -> None:
        self._traffic.certificate = certificate

    def pending(self) -> bytes:
        """What the client has sent behind its request's head."""
        pending, self._buffer = self._buffer, b""
        return pending

    def left_over(self, rest: bytes) -> None:
        self._buffer = rest

    def count(self, received: int) -> None:
        self._traffic.received += received
        self._touch()

    def refuse(self, verdict: Verdict, *, close: bool = False) -> None:
        self._parting = self._parting or close
        self._answer(lambda asked, accept: pages.refusal_page(verdict, asked, accept))

    def unreachable(self, why: str) -> None:
        self._answer(lambda asked, accept: pages.unreachable_page(why, asked, accept))

    def malformed(self, why: str) -> None:
        """The request's body is not what its head says; recorded as depth does."""
        odd = Finding("protocol-mismatch", "http", why, "request body", "likely")
        carrier = "tls stream" if self._tls else "tcp stream"
        self.judge_finding("sent", (odd,), lambda _: None, carrier)
        if self._exchange is not None:
            # Where it ends cannot be told, so nothing after it is read.
            self._exchange.sent.body = Counted(0)
        self._parting = True
        page = pages.malformed_page(why)
        self._answer(lambda _, __: page)

    def finished(self, kept: Upstream | None, *, close: bool) -> None:
        if kept is not None:
            self._server.keep(kept)
        assert self._exchange is not None
        self._parting = self._parting or close
        if self._exchange.sent.body.finished:
            self._go_next()
        else:
            self._drain_request()

    # Answers of our own

    def _answer(self, make: Callable[[HttpRequest, str], Page]) -> None:
        """Say it where nothing else was said yet, else cut."""
        exchange = self._exchange
        if exchange is None or exchange.answered:
            self.abort()
            return
        exchange.drop()
        body = exchange.sent.body
        if not body.finished and not exchange.wants_more:
            self._buffer = Rest(body).drop(self._buffer) or b""
        head = exchange.head
        # A client that has asked may leave the body out now, or send it (RFC 9110, 10.1.1).
        asks = messages.expects_continue(head)
        close = self._parting or messages.wants_close(head) or not body.finished or asks
        accept = b",".join(head.values(b"accept")).decode("latin-1")
        page = make(exchange.asked, accept)
        try:
            self.client.send(messages.page_bytes(page, bare=head.method == "HEAD", close=close))
        except OSError:
            self.abort()
            return
        self.finished(None, close=close)

    def _drain_request(self) -> None:
        """Read what is left of the request, within bounds, so that its client reads the answer."""
        assert self._exchange is not None
        self._rest = Rest(self._exchange.sent.body)
        self.deadline = time.monotonic() + DISCARD_SECONDS
        self.client.resume()

    def _discard(self, rest: Rest, data: bytes) -> None:
        left = rest.drop(data)
        if left is not None:
            self._rest, self._buffer = None, left
            self._go_next()
        elif rest.too_long:
            self.abort()

    # To depth

    def _go_deep(self) -> None:
        """Let depth go on with what has not been answered."""
        self._exchange = None
        self._server.release()
        ours, theirs = pair()
        given = replace(
            self._given, protocol="http", decrypted=self._tls, address=self._server.address
        )
        if not self._house.hand_over(given, theirs):
            ours.close()
            self.abort()
            return
        held, self._buffer = self._buffer, b""
        self.deadline = float("inf")
        guard = partial(self.guard, "lane.bridge")
        self._bridge = Bridge(
            self._house.loop,
            self.client,
            ours,
            held,
            guard,
            self._traffic,
            self._end,
            self._client_owes,
        )

    def _client_owes(self, waiting: bool) -> None:
        """A bridged client may be silent for as long as depth lets it, but has to go on taking what
        is sent to it."""
        if not waiting:
            self.deadline = float("inf")
        elif self.deadline == float("inf"):
            self._taken = self.client.sent
            self._touch()

    # Housekeeping

    def _go_next(self) -> None:
        """Take the next request, or part."""
        self._exchange = None
        if self._parting:
            self._part()
            return
        self._touch()
        if self.client.full:
            self.client.pause()
            return
        self.client.resume()
        if self._buffer:
            self.deadline = time.monotonic() + FIRST_SECONDS
            self._next()

    def _drained(self) -> None:
        if not self.client.open:
            self.abort()
        elif self._exchange is not None and self._rest is None:
            self._exchange.client_drained()
        elif self._exchange is None and self._bridge is None:
            self._go_next()

    def _touch(self) -> None:
        self.deadline = time.monotonic() + IDLE_SECONDS

    def _part(self) -> None:
        """Close once all is said, however slowly it is read."""
        self._touch()
        self.client.finish()
        if not self.client.open:
            self._end()

    def _failed(self, verdict: Verdict) -> None:
        """What failed before anything was answered is refused; else the flow is cut."""
        try:
            if not self._over and self._bridge is None and self.client.open:
                # What was read may be half taken; no more requests are.
                self.refuse(verdict, close=True)
                return
        except Exception:
            judge.logger.exception("a refusal failed; the flow is cut")
        self.abort()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self._server.leave()
        self._done(self._traffic)
