"""Who judges an MCP client's calls: the tool-call service, or a judge in this process."""

import asyncio
from typing import Protocol

from firewall import judge as door
from firewall.actor import Actor
from firewall.judge import Judge, fail_closed
from firewall.toolcalls.calls import Call, explain, request_of
from firewall.toolcalls.client import Answer, check
from firewall.verdict import Verdict

HOLD = 3600.0
"""Seconds that a person has to answer, at most; the service itself gives up earlier."""


class Checker(Protocol):
    """Judges one call; a failure is a deny."""

    async def check(self, call: Call) -> Answer: ...


class RemoteChecker:
    """Asks the service whose socket is at `path`, and waits for a person where it has to."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def check(self, call: Call) -> Answer:
        """The service's answer; a deny where it cannot be reached."""
        return await asyncio.to_thread(check, call, self._path, wait=True, timeout=HOLD)


class LocalChecker:
    """Asks a judge of this process."""

    def __init__(self, judge: Judge, actor: Actor) -> None:
        self._judge = judge
        self._actor = actor

    async def check(self, call: Call) -> Answer:
        """The judge's answer; a recorded deny where it fails."""
        verdicts: list[Verdict] = []
        with fail_closed(self._judge, "mcp.call", verdicts.append, actor=self._actor):
            door.probe("mcp.call")
            verdicts.append(await self._judge.ask(request_of(call), self._actor, {}))
        return _answer(verdicts[0])


def _answer(verdict: Verdict) -> Answer:
    if verdict.allowed:
        return Answer("allow", verdict.rule, verdict.reason)
    return Answer("deny", verdict.rule, verdict.reason, verdict.remedy, explain(verdict))
