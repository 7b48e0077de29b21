"""The lane itself: which flows it takes, and what its visits share."""

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from firewall.judge import Judge
from firewall.proxy.handover import Handover, Traffic
from firewall.proxy.lane.certificates import Certificates
from firewall.proxy.lane.upstream import Upstreams
from firewall.proxy.lane.visit import Visit
from firewall.proxy.loop import Loop, Timer
from firewall.requests import Connect
from firewall.verdict import Verdict

SWEEP_SECONDS = 1.0

type HandOver = Callable[[Handover, socket.socket], bool]


class Lane:
    """Serves inspected HTTP/1.1 on the gate's loop.

    `authority` is the folder of the certificate authority, `bundle` a PEM file of the authorities
    trusted upstream, `hand_over` gives a flow to depth. `prefer_http2` leaves clients that offer
    HTTP/2 to depth, which speaks it.
    """

    def __init__(
        self,
        loop: Loop,
        judge: Judge,
        authority: Path,
        bundle: str,
        hand_over: HandOver,
        *,
        prefer_http2: bool = False,
    ) -> None:
        self.loop = loop
        self.judge = judge
        self.certificates = Certificates(authority, loop.post)
        self.upstreams = Upstreams(loop, bundle)
        self.hand_over = hand_over
        self._prefer_http2 = prefer_http2
        self._visits: set[Visit] = set()
        self._sweeper: Timer | None = None

    def takes(self, request: Connect, verdict: Verdict) -> bool:
        """Whether an allowed flow can go this way; all it takes is known at the ClientHello."""
        if verdict.obligations.deep or request.address is None:
            return False
        if request.protocol == "http":
            return True
        offered = request.alpn
        if request.protocol != "tls" or verdict.obligations.tls != "inspect":
            return False
        if self._prefer_http2 and "h2" in offered:
            return False
        return not offered or "http/1.1" in offered

    def serve(
        self,
        given: Handover,
        client: socket.socket,
        done: Callable[[Traffic], None],
        others: Sequence[Connect] = (),
    ) -> Visit:
        """Serve a flow until it ends, then call `done`. `others` are the same connection to further
        addresses of its host, to be judged where the address before is not reached."""

        def ended(traffic: Traffic) -> None:
            self._visits.discard(visit)
            done(traffic)

        visit = Visit(self, given, client, ended, others)
        self._visits.add(visit)
        if self._sweeper is None:
            self._sweeper = self.loop.after(SWEEP_SECONDS, self._sweep)
        visit.start()
        return visit

    def cut(self) -> None:
        """Close the idle connections to servers; the visits are cut by their flows."""
        self.upstreams.close()

    def close(self) -> None:
        self.upstreams.close()
        self.certificates.close()

    def _sweep(self) -> None:
        """One timer for all, since most deadlines are put off again and again."""
        now = time.monotonic()
        for visit in [each for each in self._visits if each.deadline < now]:
            visit.late()
        self.upstreams.expire(now)
        busy = self._visits or self.upstreams.idle
        self._sweeper = self.loop.after(SWEEP_SECONDS, self._sweep) if busy else None
