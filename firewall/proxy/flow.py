"""The road of one TCP connection.

first bytes (peeked) -> identify -> who -> judge the name -> resolve -> judge the address ->
relay, hand over, or refuse. There is no way back and no other way in.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firewall import judge
from firewall.actor import Actor
from firewall.charging import Meter
from firewall.commands import inspect_argv
from firewall.judge import fail_closed
from firewall.metrics import FlowState
from firewall.protocols import Identity
from firewall.protocols.hello import fingerprints
from firewall.protocols.ssh import disconnect
from firewall.proxy.dial import Dial
from firewall.proxy.farewell import Farewell
from firewall.proxy.handover import Handover, Kind, Traffic
from firewall.proxy.house import House
from firewall.proxy.late import watchers
from firewall.proxy.opening import Opening
from firewall.proxy.refusal import UNREACHABLE, sentence
from firewall.proxy.relay import Relay, reset_on_close, watch
from firewall.proxy.unread import Unread
from firewall.proxy.ways import Road, way
from firewall.requests import Connect, Direction, Finding, Message
from firewall.verdict import Action, Verdict

if TYPE_CHECKING:
    from firewall.proxy.lane.visit import Visit

logger = logging.getLogger(__name__)

EACH_REQUEST = Verdict(
    action=Action.ALLOW,
    rule="forward",
    reason="each request of an HTTP proxy's client names its own destination and is judged by it",
)

type Step = Callable[[Verdict], None]


class Flow:
    """One accepted connection, from its first byte to its last."""

    __slots__ = (
        "_actor", "_client", "_counted", "_dial", "_fingerprints", "_found_who", "_house",
        "_opening", "_over", "_relay", "_request", "_road", "_started", "_state", "_unread",
        "_untried", "_visit", "handed_over", "number",
    )  # fmt: skip

    def __init__(self, house: House, number: int, client: socket.socket, road: Road) -> None:
        self._house = house
        self._client = client
        self._road = road
        self.number = number
        self._started = time.monotonic()
        self._relay: Relay | None = None
        self._dial: Dial | None = None
        self._visit: Visit | None = None
        self._actor = Actor(sandbox="unknown", unknown="the flow ended before it was found")
        self._found_who = False
        self._request = Connect(road.host, road.port)
        self._opening: Opening | None = None
        self._untried: list[str] = []
        self._fingerprints: Mapping[str, str] = {}
        self._counted = False
        self._unread: Unread | None = None
        self._over = False
        self.handed_over = False
        self._state: FlowState = "identifying"
        house.metrics.flow(self._state, 1)

    def start(self) -> None:
        with self._enforced("flow.start"):
            judge.probe("flow.start")
            self._client.setblocking(False)
            self._house.find_actor(self._road.client, self._road.dialled, self._found)
            heard = self._allowed, self._identified, self._enforced
            self._opening = Opening(self._house.loop, self._client, *heard)
            self._opening.start()

    @property
    def undecided(self) -> bool:
        """Whether no verdict has been given yet."""
        return self._state in ("identifying", "deciding") and not self._over

    @property
    def admitted(self) -> bool:
        """Whether it leads somewhere. What does not yet is refused later, in its own protocol."""
        return any(each is not None for each in (self._relay, self._dial, self._visit))

    def conclude(self) -> None:
        """Judge by what has been seen so far: nothing more will come."""
        if self._opening is not None:
            self._opening.conclude()

    def abort(self) -> None:
        """Cut the flow, whatever it is doing."""
        if self._relay is not None:
            self._relay.abort()
        elif self._visit is not None:
            self._visit.abort()
        else:
            self._reset()

    # Who, and whether

    def _identified(self, identity: Identity) -> None:
        self._opening = None
        self._enter("deciding")
        self._request = self._connect(identity)
        self._fingerprints = fingerprints(identity.hello) if identity.hello else {}
        self._judge_name()

    def _found(self, actor: Actor) -> None:
        """Looked for from the start, because a process may end right after its last byte."""
        self._actor = actor
        self._found_who = True
        self._judge_name()

    def _connect(self, identity: Identity) -> Connect:
        return Connect(
            host=self._road.host,
            port=self._road.port,
            protocol=identity.protocol,
            sni=identity.sni,
            alpn=identity.alpn,
            findings=identity.findings,
        )

    def _judge_name(self) -> None:
        """Once it is known both who asks and for what."""
        if not self._found_who or self._state != "deciding":
            return
        with self._enforced("flow.judge"):
            judge.probe("flow.judge")
            if suspicions := self._suspicions():
                findings = self._request.findings + suspicions
                self._request = replace(self._request, findings=findings)
            if self._road.host == "":
                self._hand_over("forward", EACH_REQUEST)
            elif not self._house.judge.preview(self._request, self._actor).allowed:
                self._decide(self._refuse)
            else:
                self._house.resolve(self._request.host, self._resolved)

    def _suspicions(self) -> tuple[Finding, ...]:
        """What the program's own command line gives away.

        An SSH client that a rule trusts to forward may be told to; to forward in reverse, never.
        What one asks for inside the gateway is judged there, where it can be told what was refused.
        """
        process = self._actor.process
        findings = inspect_argv(process.argv) if process else ()
        if self._request.protocol != "ssh":
            return findings
        obliged = self._house.judge.preview(self._request, self._actor).obligations
        reverse = {"ssh-reverse-forwarding"} if obliged.ssh == "gateway" else set()
        return tuple(each for each in findings if each.kind not in {"tunnel"} | reverse)

    def _resolved(self, addresses: Sequence[str], reason: str) -> None:
        with self._enforced("flow.address"):
            judge.probe("flow.address")
            if not addresses:
                self._decide(lambda verdict: self._unreachable(verdict, reason), failure=reason)
                return
            self._untried = list(addresses)
            self._judge_next()

    def _judge_next(self) -> None:
        """Judge the next address that the policy would allow, or the last one, to say why not."""
        while True:
            address = self._untried.pop(0)
            self._request = self._request.to(address)
            if not self._untried or self._house.judge.preview(self._request, self._actor).allowed:
                break
        self._decide(self._answered)

    def _decide(self, then: Step, **facts: str) -> None:
        """Judge with a record, which carries `facts` too; `then` runs on the loop."""

        def answer(verdict: Verdict) -> None:
            self._house.loop.post(lambda: self._go_on(then, verdict))

        counted, self._counted = self._counted, True
        asked = self._request, self._actor, self._facts() | facts
        self._house.judge.decide(*asked, answer, counted=counted)

    def _go_on(self, then: Step, verdict: Verdict) -> None:
        with self._enforced("flow.answer"):
            judge.probe("flow.answer")
            standing = self._house.judge.standing(verdict)
            if not self._over:
                (then if standing.allowed else self._refuse)(standing)

    def _allowed(self, identity: Identity) -> bool:
        return self._house.judge.preview(self._connect(identity), self._actor).allowed

    def _facts(self) -> dict[str, Any]:
        return {
            "flow": self.number,
            "client": list(self._road.client),
            "dialled": list(self._road.dialled),
            **self._fingerprints,
            **(self._unread.facts() if self._unread else {}),
        }

    # Carrying out the verdict

    def _answered(self, verdict: Verdict) -> None:
        lane = self._house.lane
        chosen = way(self._request, verdict, lane)
        if chosen == "lane" and lane is not None:
            self._enter("inspecting")
            given = self._context("intercept", verdict)
            others = [replace(self._request, address=each) for each in self._untried]
            self._visit = lane.serve(given, self._client, self._carried, others)
        elif chosen == "depth":
            self._hand_over("intercept", verdict)
        else:
            self._connect_upstream(verdict)

    def _context(self, kind: Kind, verdict: Verdict) -> Handover:
        return Handover(
            kind=kind,
            flow=self.number,
            client=self._road.client,
            host=self._request.host,
            port=self._request.port,
            address=self._request.address,
            protocol=self._request.protocol,
            sni=self._request.sni,
            actor=self._actor,
            verdict=verdict,
        )

    def _hand_over(self, kind: Kind, verdict: Verdict) -> None:
        self._let_go()
        self.handed_over = self._house.depth.give(self._context(kind, verdict), self._client)
        if self.handed_over:
            self._finish()
        else:
            self._reset()

    def _connect_upstream(self, verdict: Verdict) -> None:
        assert self._request.address is not None
        target = (self._request.address, self._request.port)

        def connected(upstream: socket.socket | None, reason: str) -> None:
            with self._enforced("flow.connected"):
                judge.probe("flow.connected")
                self._connected(upstream, reason, verdict)

        self._dial = Dial(self._house.loop, target, connected)

    def _connected(self, upstream: socket.socket | None, reason: str, verdict: Verdict) -> None:
        if not self._house.judge.standing(verdict).allowed:
            self.abort()
        elif upstream is not None:
            self._start_relay(upstream, verdict)
        elif self._untried:
            self._dial = None
            self._judge_next()
        else:
            logger.info("%s:%d: %s", self._request.host, self._request.port, reason)
            self._reset()

    def _start_relay(self, upstream: socket.socket, verdict: Verdict) -> None:
        """TLS passed through and trusted SSH cannot be read, so the kernel moves their bytes."""
        self._enter("relaying")
        judge, protocol = self._house.judge, self._request.protocol
        opaque = protocol in ("tls", "ssh")
        self._unread = Unread(self._request, self._judge_message) if protocol == "tls" else None
        self._relay = Relay(
            self._house.loop,
            self._client,
            upstream,
            self._relayed,
            None if opaque else self._judge_message,
            watch if opaque else watchers(protocol, judge.vault.beside),
            self._enforced,
            self._unread,
            self._meter(verdict) if verdict.obligations.limits else None,
        )
        self._dial = None
        self._relay.start()

    def _meter(self, verdict: Verdict) -> Meter | None:
        return self._house.judge.meter(self._request, self._actor, self._facts(), verdict)

    def _judge_message(
        self,
        direction: Direction,
        findings: Sequence[Finding],
        resume: Callable[[bool], None],
        carrier: str = "tcp stream",
    ) -> None:
        place = self._request.host, self._request.port
        request = Message(*place, carrier, direction, tuple(findings))

        def settle(verdict: Verdict) -> None:
            with self._enforced("flow.message"):
                judge.probe("flow.message")
                if not verdict.allowed:
                    self.abort()
                else:
                    resume(True)

        def answer(verdict: Verdict) -> None:
            self._house.loop.post(lambda: settle(verdict))

        self._house.judge.decide(request, self._actor, self._facts(), answer)

    def _relayed(self, sent: int, received: int) -> None:
        self._carried(Traffic(sent, received))

    def _carried(self, traffic: Traffic) -> None:
        self._house.metrics.bytes("sent", traffic.sent)
        self._house.metrics.bytes("received", traffic.received)
        self._house.judge.note("flow", {**self._facts(), **traffic.facts(self._started)})
        self._finish()

    # Refusing

    def _refuse(self, verdict: Verdict) -> None:
        """Explain in the client's own protocol where there is one, else reset."""
        self._enter("refusing")
        if self._request.protocol in ("tls", "http", "http2"):
            self._hand_over("refuse", verdict)
        elif self._request.protocol == "ssh":
            Farewell(self._house.loop, self._client, disconnect(sentence(verdict)))
            self._finish()
        else:
            self._reset()

    def _unreachable(self, verdict: Verdict, reason: str) -> None:
        """Allowed, but there is nowhere to go: no block, and the client is told so."""
        self._refuse(replace(verdict, action=Action.DENY, rule=UNREACHABLE, reason=reason))

    def _let_go(self) -> None:
        """Neither look at the client nor watch it: it is about to be closed, or another's."""
        if self._opening is not None:
            self._opening.stop()
        self._house.loop.forget(self._client.fileno())

    def _reset(self) -> None:
        if self._over:
            return
        if self._dial is not None:
            self._dial.cancel()
        self._let_go()
        reset_on_close(self._client)
        self._client.close()
        self._finish()

    # Housekeeping

    def _enforced(self, point: str) -> contextlib.AbstractContextManager[None]:
        return fail_closed(
            self._house.judge, point, self._failed, request=self._request, actor=self._actor
        )

    def _failed(self, verdict: Verdict) -> None:
        self.abort()

    def _enter(self, state: FlowState) -> None:
        self._house.metrics.flow_went(self._state, state)
        self._state = state

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            # They know the flow: without rings of references nothing waits for the collector.
            self._opening = self._dial = self._relay = self._unread = None
            self._house.metrics.flow(self._state, -1)
            self._house.ended(self)
