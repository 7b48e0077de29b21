"""The bytes of a request and its answer, where the policy limits them: head first, then bodies."""

from mitmproxy import http

from firewall.judge import Judge
from firewall.proxy.http.flow import Exchange
from firewall.requests import Direction
from firewall.verdict import Verdict

_LINE = 4
"""Bytes of a field line besides its name and its value (RFC 9112, 5)."""


async def begin(
    door: Judge, exchange: http.HTTPFlow, state: Exchange, verdict: Verdict
) -> Verdict | None:
    """Count an allowed request's head, and the body that it was judged by; the deny where that is
    too much."""
    known, request = state.flow, exchange.request
    state.verdict = verdict
    state.meter = door.meter(state.asked, known.actor, known.facts(), verdict)
    if state.meter is None:
        return None
    first = len(request.method) + len(request.path) + len(" HTTP/1.1\r\n\r\n")
    return await spent(
        state, "sent", first + size_of(request.headers) + len(request.data.content or b"")
    )


async def answered(state: Exchange, response: http.Response) -> Verdict | None:
    """Count an answer's head."""
    first = len(f"HTTP/1.1 {response.status_code} {response.reason}\r\n\r\n")
    return await spent(state, "received", first + size_of(response.headers))


async def spent(state: Exchange, direction: Direction, size: int) -> Verdict | None:
    """Count bytes that are about to pass; the deny where they are too many."""
    return None if state.meter is None else await state.meter.spent(direction, size)


def size_of(piece: bytes | http.Headers) -> int:
    """The bytes of a piece of a body, or of fields."""
    if isinstance(piece, bytes):
        return len(piece)
    return sum(len(name) + len(value) + _LINE for name, value in piece.fields)
