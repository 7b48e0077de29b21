"""The pieces of bodies on their way: looked at, and signed for where the policy says so."""

from collections.abc import Callable

from mitmproxy import http

from firewall import judge
from firewall.judge import Judge, fail_closed
from firewall.proxy.http.flow import Exchange, exchange_of
from firewall.proxy.http.layers import Found
from firewall.proxy.http.metering import size_of
from firewall.requests import Direction, Finding
from firewall.verdict import Verdict


class Bodies:
    """Says what was found in bodies. `door` gives the judge in office."""

    def __init__(self, door: Callable[[], Judge]) -> None:
        self._door = door

    def watch(
        self, flow: http.HTTPFlow, direction: Direction, data: bytes | http.Headers
    ) -> Found | None:
        """Look at a piece of a body or at what trails it: None where nothing was found, nothing
        is counted, and nothing more is to be looked at."""
        state = exchange_of(flow)
        if state is None:
            raise PermissionError("a body without a judged request")
        found: Found | None = None

        def refuse(verdict: Verdict) -> None:
            nonlocal found
            found = Found(flow, state, direction, (), verdict)

        known = state.flow
        with fail_closed(self._door(), "http.body", refuse, request=state.asked, actor=known.actor):
            judge.probe("http.body")
            message = flow.request if direction == "sent" else flow.response
            findings: tuple[Finding, ...] = ()
            if isinstance(data, http.Headers):
                findings = state.watch_trailers(direction, data)
            elif message is not None:
                findings = state.watch_body(direction, message, data)
            if findings or state.meter is not None or state.is_busy(direction):
                found = Found(flow, state, direction, findings, size=size_of(data))
        return found

    def sign(self, flow: http.HTTPFlow, exchange: Exchange, body: bytes) -> Found | None:
        """Sign a request anew: None where that went well. `body` is empty where it streams."""
        found: Found | None = None

        def refuse(verdict: Verdict) -> None:
            nonlocal found
            found = Found(flow, exchange, "sent", (), verdict)

        known = exchange.flow
        with fail_closed(
            self._door(), "http.sign", refuse, request=exchange.asked, actor=known.actor
        ):
            judge.probe("http.sign")
            findings = exchange.signing.sign(body) if exchange.signing is not None else ()
            found = Found(flow, exchange, "sent", findings) if findings else None
        return found
