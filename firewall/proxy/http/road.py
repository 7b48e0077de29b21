"""From a name to an address that may be dialled: judged, resolved once, and judged again."""

import asyncio
from dataclasses import replace

from mitmproxy.proxy.context import Context

from firewall.judge import Judge
from firewall.protocols import Identity
from firewall.proxy.http.asking import canonical
from firewall.proxy.http.flow import Flow
from firewall.proxy.resolver import literal, lookup
from firewall.requests import Connect, HttpRequest, Request
from firewall.verdict import Verdict

RESOLVE_SECONDS = 10


class UnreachableError(Exception):
    """An allowed name that leads nowhere."""


class Road:
    """Asks the judge about destinations, and remembers in the flow what may be dialled."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    async def ask(self, request: Request, known: Flow, *, counted: bool = False) -> Verdict:
        return await self._judge.ask(request, known.actor, known.facts(), counted=counted)

    async def admit(self, known: Flow, context: Context, identity: Identity) -> None:
        """Judge a destination that a proxy's client has named, now that it has begun to speak."""
        if not known.host and context.server.address:
            known.kind = "intercept"
            known.host = canonical(context.server.address[0])
            known.port = context.server.address[1]
        asked = Connect(
            host=known.host,
            port=known.port,
            protocol=identity.protocol,
            sni=identity.sni,
            alpn=identity.alpn,
            findings=identity.findings,
        )
        verdict = await self.ask(asked, known)
        try:
            if verdict.allowed:
                verdict = await self.reach(known, asked, counted=True)
        except UnreachableError as error:
            known.trouble = str(error)
        known.judged = True
        known.verdict = verdict
        self.limit(known, asked)
        if not verdict.allowed:
            known.kind = "refuse"
            return
        context.server.address = (known.address_of(known.host, known.port) or "", known.port)

    async def refused(self, known: Flow, asked: HttpRequest) -> Verdict:
        """The deny of a connection, as the request that came in it is told."""
        # A secret in it makes it worse than the connection alone was.
        if asked.carries or any(each.kind == "secret" for each in asked.findings):
            verdict = await self.ask(asked, known)
            if not verdict.allowed:
                return verdict
        return self._explained(known, asked)

    def _explained(self, known: Flow, asked: HttpRequest) -> Verdict:
        """With what would allow the request: a POST, say, where no method was known before."""
        verdict, likely = known.verdict, self._judge.preview(asked, known.actor)
        alike = (likely.rule, likely.reason) == (verdict.rule, verdict.reason)
        return replace(verdict, remedy=likely.remedy) if alike else verdict

    def limit(self, known: Flow, asked: Connect) -> None:
        """Have what is not HTTP counted, where the connection's bytes are limited."""
        known.meter = self._judge.meter(asked, known.actor, known.facts(), known.verdict)

    async def reach(self, known: Flow, asked: Connect, *, counted: bool = False) -> Verdict:
        """Resolve an allowed name once and judge each answer until one may be dialled; `counted`
        says that limits have counted the connection."""
        verdict = known.verdict
        if known.address_of(asked.host, asked.port) is not None:
            return verdict
        for address in await self._addresses(asked.host):
            verdict = await self.ask(replace(asked, address=address), known, counted=counted)
            counted = True
            if verdict.allowed:
                known.reach[address, asked.port] = asked.host
                known.verdict = verdict
                break
        return verdict

    async def _addresses(self, host: str) -> list[str]:
        pinned = self._judge.policy.names.get(host)
        if pinned is not None or literal(host):
            return [pinned or host]
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found, why = await asyncio.to_thread(lookup, host)
        except TimeoutError:
            raise UnreachableError(
                f"the name {host} cannot be resolved: no answer in time"
            ) from None
        if not found:
            raise UnreachableError(why)
        return list(found)
