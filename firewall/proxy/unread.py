"""What tells of a TLS flow that nobody reads: its shape, and how its server begins."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from firewall.protocols import Shape
from firewall.protocols.certificates import Certificate
from firewall.protocols.tlsserver import ServerFlight
from firewall.requests import Connect, Direction, Finding

CARRIER = "encrypted stream"

type Judge = Callable[[Direction, Sequence[Finding], Callable[[bool], None], str], None]
"""Judges what was found in a carrier, and ends the flow where it may not go on."""


class Unread:
    """Observes one passed-through flow (relay.Observer), which goes on while it is judged."""

    __slots__ = ("_certificate", "_flight", "_judge", "_name", "_shape")

    def __init__(self, request: Connect, judge: Judge) -> None:
        self._shape = Shape(named=request.sni is not None, protocols=bool(request.alpn))
        self._flight: ServerFlight | None = ServerFlight()
        self._certificate: Certificate | None = None
        self._name = request.sni
        self._judge = judge

    def looks(self, direction: Direction) -> bool:
        return direction == "received" and self._flight is not None

    def saw(self, direction: Direction, data: bytes) -> None:
        flight = self._flight
        if flight is None:
            return
        findings = flight.feed(data)
        if flight.finished:
            self._know(flight.certificate)
        if findings:
            self._judge(direction, findings, _go_on, CARRIER)

    def _know(self, certificate: Certificate | None) -> None:
        """Nothing else is kept of what the server began with."""
        self._flight, self._certificate = None, certificate
        if certificate is not None:
            self._shape.self_signed = certificate.self_signed
            named, names = self._name, certificate.names
            self._shape.misnamed = bool(named and names) and not certificate.is_for(named or "")

    def moved(self, direction: Direction, size: int) -> None:
        if findings := self._shape.feed(time.monotonic(), direction, size):
            self._judge(direction, findings, _go_on, CARRIER)

    def facts(self) -> dict[str, Any]:
        """The server's certificate for the record, where one was seen."""
        seen = self._certificate
        return {"certificate": asdict(seen)} if seen else {}


def _go_on(_: bool) -> None:
    """Nothing waits for the verdict."""
