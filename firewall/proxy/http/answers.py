"""Tool calls in the answers of model APIs: each is judged before the agent sees it.

Another addon knows the APIs: it puts a `Rewriter` into the exchange when the answer's head has
arrived. Where a rule asks for it and none is there, the answer is blocked.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy.proxy import commands

from firewall import judge
from firewall.judge import Judge, fail_closed
from firewall.proxy.http.flow import UNJUDGED, Exchange, Steps
from firewall.requests import Finding, ToolCall
from firewall.verdict import Verdict

type Step = bytes | ToolCall | Finding | Verdict | None
"""A finding or a verdict ends the answer; None is the end of what has arrived."""


@dataclass
class Asked:
    """A call that waits for its verdict, which is a deny until the judge has filled it in."""

    exchange: Exchange
    call: ToolCall
    verdict: Verdict = UNJUDGED


@dataclass
class EgressToolCallHook(commands.StartHook):  # type: ignore[no-untyped-call]
    """Asks the addon to judge a call; the answer waits for it."""

    asked: Asked


class Answers:
    """Judges the calls of answers. `door` gives the judge in office."""

    def __init__(self, door: Callable[[], Judge]) -> None:
        self._door = door

    def steps(self, exchange: Exchange, data: bytes | None) -> Steps:
        """Begin with a piece of an answer, or with its end."""
        rewriter = exchange.rewriter
        if rewriter is None:
            raise LookupError("nothing here reads tool calls; load addons/model_tool_calls.py")
        yield from rewriter.finish() if data is None else rewriter.feed(data)

    def advance(self, exchange: Exchange, steps: Steps, verdict: Verdict | None) -> Step:
        """The next step; what fails is a verdict that ends the answer."""
        step: Step = None

        def refuse(failure: Verdict) -> None:
            nonlocal step
            step = failure

        known = exchange.flow
        with fail_closed(
            self._door(), "http.tool_calls", refuse, request=exchange.asked, actor=known.actor
        ):
            judge.probe("http.tool_calls")
            step = next(steps, None) if verdict is None else _send(steps, verdict)
        return step

    async def egress_tool_call(self, asked: Asked) -> None:
        """Judge a call."""
        known = asked.exchange.flow

        def refuse(verdict: Verdict) -> None:
            asked.verdict = verdict

        with fail_closed(
            self._door(), "http.egress_tool_call", refuse, request=asked.call, actor=known.actor
        ):
            judge.probe("http.egress_tool_call")
            asked.verdict = await self._door().ask(asked.call, known.actor, known.facts())


def _send(steps: Steps, verdict: Verdict) -> Step:
    try:
        return steps.send(verdict)
    except StopIteration:
        return None
