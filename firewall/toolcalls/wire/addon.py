"""mitmproxy's addon that reads the answers of model APIs where a rule says `tool-calls: inspect`.

A call that the policy denies is taken out of the answer, and the agent reads the refusal in its
place. It knows Anthropic's Messages, OpenAI's Chat Completions and Responses, and Gemini, whole and
streamed. An answer that it cannot read is blocked.
"""

from collections.abc import Generator, Iterator
from typing import Protocol, cast

from mitmproxy import http

from firewall.protocols.codings import DECODE_ERRORS, Decoder, chain, decoders
from firewall.requests import Finding, ToolCall
from firewall.toolcalls import wire
from firewall.toolcalls.calls import Call, explain, request_of
from firewall.verdict import Verdict

type Steps = Generator[bytes | ToolCall | Finding, Verdict | None, None]

UNCODED = "identity"
KEY = "firewall"
"""Where the firewall keeps an exchange in the metadata of mitmproxy's flow."""


class Reader(Protocol):
    """Reads one answer. Both end with a finding for what may hide a call."""

    def feed(self, data: bytes) -> Steps: ...

    def finish(self) -> Steps: ...


class Exchange(Protocol):
    """What the firewall keeps of a request and its answer (proxy/http/flow.py)."""

    tool_calls: bool
    rewriter: Reader | None


class Answer:
    """One answer: decoded, read, and its calls turned into what the judge is asked."""

    def __init__(self, rewriter: wire.Rewriter, decoding: list[Decoder]) -> None:
        self._rewriter = rewriter
        self._decoders = decoding

    def feed(self, data: bytes) -> Steps:
        try:
            for piece in self._decoded(data):
                yield from _asking(self._rewriter.feed(piece))
        except wire.UnreadableError as error:
            yield _unreadable(error)
        except DECODE_ERRORS as error:
            yield _unreadable(f"the answer is not in the encoding that it names: {error}")

    def finish(self) -> Steps:
        try:
            yield from _asking(self._rewriter.finish())
        except wire.UnreadableError as error:
            yield _unreadable(error)

    def _decoded(self, data: bytes) -> Iterator[bytes]:
        return chain(self._decoders, data) if self._decoders and data else iter((data,))


class Unreadable:
    """An answer in a form that is not known, which is found at its first byte."""

    def __init__(self, error: wire.UnreadableError) -> None:
        self._error = error

    def feed(self, data: bytes) -> Steps:
        yield _unreadable(self._error)

    def finish(self) -> Steps:
        yield from ()


class ModelToolCalls:
    """Reads the answers of exchanges whose rule asks for it."""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Ask for an answer that need not be decoded."""
        if _read(flow) is not None:
            flow.request.headers["accept-encoding"] = UNCODED

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The answer's head has arrived: choose who reads its body."""
        exchange = _read(flow)
        if exchange is None or flow.response is None:
            return
        try:
            exchange.rewriter = _answer(flow.response)
        except wire.UnreadableError as error:
            exchange.rewriter = Unreadable(error)
        _reframe(flow.request, flow.response)


def _read(flow: http.HTTPFlow) -> Exchange | None:
    """The exchange, where its answer is to be read."""
    exchange = cast("Exchange | None", flow.metadata.get(KEY))
    return exchange if exchange is not None and exchange.tool_calls else None


def _answer(response: http.Response) -> Reader:
    if response.status_code == 206:
        raise wire.UnreadableError("tool calls cannot be read in a part of an answer (status 206)")
    encoding = str(response.headers.get("content-encoding", UNCODED))
    decoding = decoders(encoding)
    if not decoding and encoding.strip().lower() not in ("", UNCODED):
        raise wire.UnreadableError(f"tool calls cannot be read in the encoding {encoding!r}")
    rewriter = wire.rewriter_for(str(response.headers.get("content-type", "")))
    return Answer(rewriter, decoding)


def _reframe(request: http.Request, response: http.Response) -> None:
    """The body may become longer or shorter (RFC 9112, 6.3)."""
    if request.method == "HEAD" or response.status_code in (204, 304):
        return
    for name in ("content-encoding", "content-length"):
        response.headers.pop(name, None)
    if request.http_version == "HTTP/1.1":
        response.headers["transfer-encoding"] = "chunked"


def _unreadable(why: object) -> Finding:
    """Honest servers have forms that are not known here, and odd bytes."""
    return Finding("protocol-mismatch", "model-answer", str(why), "http body", "likely")


def _asking(steps: wire.Steps) -> Steps:
    """Calls become requests, and verdicts what the agent is told."""
    refusal: str | None = None
    while True:
        try:
            step = steps.send(refusal)
        except StopIteration:
            return
        refusal = None
        if isinstance(step, Call):
            verdict = yield request_of(step)
            if verdict is None or not verdict.allowed:
                refusal = explain(verdict) if verdict is not None else "Blocked by the firewall"
        else:
            yield step


addons = [ModelToolCalls()]
