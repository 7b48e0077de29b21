"""Who judges an MCP client's calls: the tool-call service, or a judge in this process."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from firewall import judge as door
from firewall.actor import Actor
from firewall.judge import Judge, fail_closed
from firewall.toolcalls.calls import Call, explain, request_of
from firewall.toolcalls.client import Answer, answer_of, fields_of, refusal
from firewall.toolcalls.listing import unusable
from firewall.toolcalls.mcp.asking import Exchange
from firewall.verdict import Verdict

HOLD = 3600.0
"""Seconds that a person has to answer, at most; the service itself gives up earlier."""
PATIENCE = 10.0
"""Seconds for a question that waits for nobody."""
CHUNK = 1 << 16


class Checker(Protocol):
    """Judges calls; a failure is a deny."""

    async def check(self, call: Call) -> Answer: ...

    async def unusable(self, server: str, tools: Sequence[str]) -> Collection[str]:
        """Those of a server's tools that are denied whatever their arguments."""
        ...


class RemoteChecker:
    """Asks the service whose socket is at `path`, and waits for a person where it has to."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def check(self, call: Call) -> Answer:
        """The service's answer; a deny where it cannot be reached."""
        try:
            async with asyncio.timeout(HOLD):
                return answer_of(await self._post("/v1/tool-calls?wait=1", fields_of(call)))
        except Exception as error:
            return refusal("tool-calls.client", repr(error))

    async def unusable(self, server: str, tools: Sequence[str]) -> Collection[str]:
        """As the service says; none where it cannot, since each call is judged all the same."""
        try:
            async with asyncio.timeout(PATIENCE):
                fields = {"server": server, "tools": list(tools)}
                return {str(name) for name in (await self._post("/v1/tools", fields))["unusable"]}
        except Exception:
            return ()

    async def _post(self, target: str, fields: dict[str, Any]) -> Any:
        exchange = Exchange(target, fields)
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(exchange.request)
            while not exchange.done:
                exchange.feed(await reader.read(CHUNK))
        finally:
            writer.close()
        return exchange.document()


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
            request = request_of(call, self._judge.policy.command_arguments)
            verdicts.append(await self._judge.ask(request, self._actor, {}))
        return answered(verdicts[0])

    async def unusable(self, server: str, tools: Sequence[str]) -> Collection[str]:
        """As the policy says."""
        return unusable(self._judge.policy, server, tools)


def answered(verdict: Verdict) -> Answer:
    """What is left of a verdict once nobody is asked any more."""
    if verdict.allowed:
        return Answer("allow", verdict.rule, verdict.reason)
    return Answer("deny", verdict.rule, verdict.reason, verdict.remedy, explain(verdict))
