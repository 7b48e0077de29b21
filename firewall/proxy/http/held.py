"""Requests that are judged by what their bodies ask: held back and read, in bounded memory."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from mitmproxy import http

from firewall import judge
from firewall.apis import READ_LIMIT, begins_with_json, read_body
from firewall.judge import Judge, fail_closed
from firewall.ports import Answer
from firewall.protocols.codings import DECODE_ERRORS, chain, decoders
from firewall.proxy.http.bodies import Bodies
from firewall.proxy.http.flow import Exchange, exchange_of
from firewall.proxy.http.layers import Found
from firewall.proxy.http.refuse import answer, refusal
from firewall.requests import Calls
from firewall.verdict import Verdict


class Asker(Protocol):
    """Who asks the judge about requests and what is found in them."""

    judge: Judge
    bodies: Bodies

    async def egress_finding(self, found: Found) -> None: ...
    async def judge_request(
        self, exchange: http.HTTPFlow, state: Exchange, refuse: Answer
    ) -> None: ...


class HeldRequests:
    """Judges a request that was held back, once its body is there."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def request(self, exchange: http.HTTPFlow) -> None:
        """A request has been read whole, or more of it than is read."""
        state = exchange_of(exchange)
        if state is None or not state.held:
            return

        def refuse(verdict: Verdict) -> None:
            answer(exchange, refusal(exchange.request, verdict, state.asked))

        door, known = self._asker.judge, state.flow
        with fail_closed(door, "http.request", refuse, request=state.asked, actor=known.actor):
            judge.probe("http.request")
            state.held = False
            body = b"" if state.overlong else exchange.request.data.content or b""
            found = self._asker.bodies.watch(exchange, "sent", body)
            if found is not None and found.verdict is None:
                await self._asker.egress_finding(found)
            if found is not None and (found.verdict is None or not found.verdict.allowed):
                refuse(found.verdict or known.verdict)
                return
            _frame(exchange.request, body)
            state.asked = replace(state.asked, calls=_calls(exchange.request, state, body))
            await self._asker.judge_request(exchange, state, refuse)


def waits(door: Judge, state: Exchange) -> bool:
    """Whether a request is to be judged with its body, which is held back until then."""
    known = state.flow
    state.held = known.kind != "refuse" and door.needs_body(state.asked, known.actor)
    return state.held


def _frame(request: http.Request, body: bytes) -> None:
    """An HTTP/2 body may have no stated length, and goes on with one."""
    if body and not {"content-length", "transfer-encoding"} & {*map(str.lower, request.headers)}:
        request.headers["content-length"] = str(len(body))


def _calls(request: http.Request, state: Exchange, body: bytes) -> Calls:
    plain = None if state.overlong else _decoded(request.headers.get("content-encoding", ""), body)
    return read_body(state.asked.path, request.headers.get("content-type", ""), plain)


def _decoded(encoding: str, body: bytes) -> bytes | None:
    """A body without its content coding; None where that is not known, broken or too long, or where
    the body can be read without it."""
    coders = decoders(encoding)
    if not coders:
        return body if encoding.strip().lower() in ("", "identity") else None
    if begins_with_json(body):
        return None
    try:
        return _joined(chain(coders, body))
    except DECODE_ERRORS:
        return None


def _joined(pieces: Iterator[bytes]) -> bytes | None:
    whole = bytearray()
    for piece in pieces:
        whole += piece
        if len(whole) > READ_LIMIT:
            return None
    return bytes(whole)
