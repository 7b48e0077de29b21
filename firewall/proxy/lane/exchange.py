"""One allowed request and its answer, on their way between a client and a server.

Both bodies stream, each piece past the recognisers first; a piece with a finding waits until it is
judged. Neither side is read faster than the other takes it.
"""

import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol

from firewall import judge
from firewall.charging import Meter
from firewall.protocols import ProtocolError, inspect_response
from firewall.protocols.certificates import Certificate
from firewall.protocols.http1 import LIMIT, AnswerHead, Head, parse_answer
from firewall.protocols.http1body import Open
from firewall.proxy.lane import messages
from firewall.proxy.lane.messages import Half, Onward
from firewall.proxy.lane.stream import Stream
from firewall.proxy.lane.upstream import Upstream
from firewall.requests import Direction, Finding, HttpRequest
from firewall.vault import Vault
from firewall.verdict import Verdict

SWITCHING_PROTOCOLS = 101


class Host(Protocol):
    """What an exchange needs of the client's visit."""

    client: Stream

    def guard(self, point: str) -> contextlib.AbstractContextManager[None]: ...
    def reach(
        self, done: Callable[[Upstream | None, str], None], *, repeatable: bool, fresh: bool
    ) -> None: ...
    def judge_finding(
        self,
        direction: Direction,
        findings: Sequence[Finding],
        settled: Callable[[Verdict], None],
    ) -> None: ...
    def knows(self, certificate: Certificate | None) -> None: ...
    def pending(self) -> bytes: ...
    def left_over(self, rest: bytes) -> None: ...
    def count(self, received: int) -> None: ...
    def refuse(self, verdict: Verdict, *, close: bool = False) -> None: ...
    def malformed(self, why: str) -> None: ...
    def unreachable(self, why: str) -> None: ...
    def finished(self, kept: Upstream | None, *, close: bool) -> None: ...
    def abort(self) -> None: ...


class Exchange:
    """Begins when the request's head is read; `start` once it is allowed."""

    def __init__(
        self, host: Host, head: Head, asked: HttpRequest, onward: Onward, vault: Vault
    ) -> None:
        self.head = head
        self.asked = asked
        self.sent = Half("sent", head, messages.request_body(head), vault)
        self._vault = vault
        self.over = False
        self._host = host
        self._meter: Meter | None = None
        self._upstream: Upstream | None = None
        self._received: Half | None = None
        self.answered = False
        """Whether the client has been sent the beginning of an answer."""
        self._answer = b""
        self._advice = 0
        self._keeps = False
        self._onward = onward
        self._closes = onward.closes
        self._held: set[Direction] = set()

    @property
    def wants_more(self) -> bool:
        """Whether what the client sends next belongs to this request."""
        return self._upstream is not None and not self.sent.body.finished

    def start(self, meter: Meter | None = None) -> None:
        """Send the request on; `meter` counts its bytes and its answer's, if they are limited."""
        self._meter = meter
        self._host.reach(self._reached, repeatable=self._onward.repeatable, fresh=False)

    def drop(self) -> None:
        """Leave the server in the middle of whatever is under way."""
        self.over = True
        if self._upstream is not None:
            self._upstream.stream.abort()

    # To the server

    def _reached(self, upstream: Upstream | None, why: str) -> None:
        # Known before anything can fail, so that it is cut then.
        self._upstream = upstream
        with self._host.guard("lane.reached"):
            judge.probe("lane.reached")
            if self.over:
                self.drop()
            elif upstream is None:
                self._host.unreachable(why)
            else:
                self._begin(upstream)

    def _begin(self, upstream: Upstream) -> None:
        self._host.knows(upstream.certificate)
        upstream.stream.readable, upstream.stream.drained = self._arrived, self._server_drained
        upstream.stream.resume()
        self.take(self._host.pending(), self._onward.data)
        if self.wants_more and messages.expects_continue(self.head):
            self._ask_for_body()

    def _ask_for_body(self) -> None:
        try:
            self._host.client.send(messages.CONTINUE)
        except OSError:
            self._host.abort()

    def take(self, data: bytes, before: bytes = b"") -> None:
        """Pass on what the client has sent; `before` goes first."""
        out, rest = b"", data
        findings: tuple[Finding, ...] = ()
        if not self.sent.body.finished:
            try:
                out, findings = self.sent.take(data)
            except ProtocolError as error:
                self._host.malformed(str(error))
                return
            rest = self.sent.body.rest
        if self.sent.body.finished:
            self._host.left_over(rest)
        else:
            self._host.client.resume()
        self._pass_on("sent", before + out, findings)

    def client_ended(self) -> None:
        """The client sends no more, in the middle of its request's body."""
        self._host.abort()

    def client_drained(self) -> None:
        if self._upstream is not None and "received" not in self._held:
            self._upstream.stream.resume()

    def _server_drained(self) -> None:
        upstream = self._upstream
        if upstream is None or self.over:
            return
        if not upstream.stream.open:
            if not self._held:
                self._lost("the server closed the connection")
        elif self.wants_more and "sent" not in self._held:
            self._host.client.resume()

    # From the server

    def _arrived(self) -> None:
        with self._host.guard("lane.answer"):
            judge.probe("lane.answer")
            assert self._upstream is not None
            try:
                data = self._upstream.stream.read()
            except ssl.SSLEOFError:
                self._ended(proven=False)
                return
            except OSError as error:
                self._lost(f"the server's connection failed: {error.strerror or error}")
                return
            if data:
                self._host.count(len(data))
                self._read(data)
            elif data is not None:
                self._ended()

    def _read(self, data: bytes) -> None:
        try:
            if self._received is None:
                self._read_head(data)
            else:
                out, findings = self._received.take(data)
                self._pass_on("received", out, findings)
        except ProtocolError as error:
            self._lost(f"the answer of the server cannot be read: {error}", again=False)

    def _read_head(self, data: bytes) -> None:
        self._answer += data
        answer = parse_answer(self._answer)
        while answer is not None and answer.status < 200:
            self._skip_advice(answer)
            answer = parse_answer(self._answer)
        if answer is not None:
            rest, self._answer = self._answer[answer.length :], b""
            self._answered(answer, rest)

    def _skip_advice(self, answer: AnswerHead) -> None:
        """1xx responses are dropped as depth does (proxy/http/informational.py)."""
        if answer.status == SWITCHING_PROTOCOLS:
            raise PermissionError("the server switched to a protocol that nobody asked for")
        self._advice += answer.length
        if self._advice > LIMIT:
            raise ProtocolError("there is no end of informational responses")
        self._answer = self._answer[answer.length :]

    def _answered(self, answer: AnswerHead, rest: bytes) -> None:
        body = messages.answer_body(self.head.method, answer)
        self._closes = self._closes or isinstance(body, Open)
        received = Half("received", answer, body, self._vault)
        out, findings = received.take(rest)
        self._received = received
        self._keeps = not messages.wants_close(answer)
        before = messages.answer_bytes(answer, close=self._closes)
        told = (
            *inspect_response(answer.headers),
            *self._vault.answer(answer.reason, answer.headers),
        )
        self._pass_on("received", before + out, (*told, *findings))

    def _ended(self, *, proven: bool = True) -> None:
        """The server has closed: the end of an answer without a length, or a cut. What its TLS
        leaves open the client is to learn as well."""
        received = self._received
        if received is None:
            self._lost("the server closed the connection without an answer")
            return
        try:
            out = received.end()
        except ProtocolError:
            self._host.abort()
            return
        self._host.client.farewell = proven
        self._pass_on("received", out, ())

    def _lost(self, why: str, *, again: bool = True) -> None:
        """Nothing more will come: try again where that is safe, else say why, else cut."""
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        upstream.stream.abort()
        if self._received is not None:
            self._host.abort()
        elif (
            again
            and upstream.used
            and self._onward.repeatable
            and not (self._answer or self._advice)
        ):
            self._host.reach(self._reached, repeatable=True, fresh=True)
        else:
            self._host.unreachable(why)

    # Both ways

    def _pass_on(self, direction: Direction, data: bytes, findings: Sequence[Finding]) -> None:
        half = self.sent if direction == "sent" else self._received
        if half is not None and half.busy:
            self._look_on(direction, half, data, findings)
        elif self._meter is None:
            self._judge(direction, data, findings)
        else:
            self._spend(self._meter, direction, data, findings)

    def _look_on(
        self, direction: Direction, half: Half, data: bytes, findings: Sequence[Finding]
    ) -> None:
        """Look at the rest of a piece in further turns of the loop: it decodes to much."""
        self._hold(direction)

        def go_on() -> None:
            with self._host.guard("lane.look"):
                judge.probe("lane.look")
                if self.over:
                    return
                out, found = half.go_on()
                if not half.busy:
                    self._release(direction)
                self._pass_on(direction, data + out, (*findings, *found))
                self._server_drained()

        self._host.client.later(go_on)

    def _spend(
        self, meter: Meter, direction: Direction, data: bytes, findings: Sequence[Finding]
    ) -> None:
        def settled(denied: Verdict | None) -> None:
            if denied is None:
                self._judge(direction, data, findings)
            else:
                self._block(denied)

        meter.spend(direction, len(data), settled)

    def _hold(self, direction: Direction) -> None:
        """Nothing more comes from there until what has come may go on."""
        self._held.add(direction)
        self._source(direction).pause()

    def _release(self, direction: Direction) -> None:
        self._held.discard(direction)
        self._source(direction).resume()

    def _judge(self, direction: Direction, data: bytes, findings: Sequence[Finding]) -> None:
        if not findings:
            self._deliver(direction, data)
            return
        self._hold(direction)

        def settled(verdict: Verdict) -> None:
            if self.over:
                return
            if not verdict.allowed:
                self._block(verdict)
                return
            self._release(direction)
            self._deliver(direction, data)
            self._server_drained()

        self._host.judge_finding(direction, findings, settled)

    def _source(self, direction: Direction) -> Stream:
        if direction == "sent":
            return self._host.client
        assert self._upstream is not None
        return self._upstream.stream

    def _deliver(self, direction: Direction, data: bytes) -> None:
        assert self._upstream is not None
        server, client = self._upstream.stream, self._host.client
        target, source = (server, client) if direction == "sent" else (client, server)
        self.answered = self.answered or direction == "received"
        try:
            if data:
                target.send(data)
        except OSError:
            if direction == "sent":
                self._unsent()
            else:
                self._host.abort()
            return
        if target.full:
            source.pause()
        if direction == "received":
            self._perhaps_complete()

    def _unsent(self) -> None:
        """The server takes no more; it may have answered before (RFC 9112, 9.6)."""
        if "received" not in self._held:
            self._arrived()
        if self._upstream is not None and not self.over:
            self._lost("the server closed the connection")

    def _perhaps_complete(self) -> None:
        assert self._received is not None
        if not self._received.body.finished:
            return
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        self.over = True
        clean = self.sent.body.finished and not self._held and not self._received.body.rest
        if not (self._keeps and clean and upstream.stream.open):
            upstream.stream.close()
            self._host.finished(None, close=self._closes)
            return
        upstream.used = True
        upstream.tied = upstream.tied or self._onward.ties
        self._host.finished(upstream, close=self._closes)

    def _block(self, verdict: Verdict) -> None:
        """Stop in the middle; where the answer has not begun, say why."""
        if self.answered:
            self._host.abort()
        else:
            self._host.refuse(verdict, close=True)
