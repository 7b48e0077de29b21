"""What things cost that the policy limits, and what is said where a limit is reached.

Requests, connections and names cost when they are judged; bytes cost as they move (Meter).
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil

from firewall.actor import Actor
from firewall.policy.hosts import read_host
from firewall.policy.plain import plain
from firewall.quota import Due, Excess, Quota, span
from firewall.requests import Connect, Direction, HttpRequest, Request
from firewall.verdict import Action, Limit, Measure, Severity, Verdict

_AT_ONCE: Mapping[type, frozenset[Measure]] = {
    Connect: frozenset({"connections", "names"}),
    HttpRequest: frozenset({"requests"}),
}

type Settled = Callable[[Verdict | None], None]
"""Gets the deny that ends a flow, or None where it goes on."""


def dues(request: Request, actor: Actor, verdict: Verdict) -> tuple[Due, ...]:
    """What an allowed request costs when it is judged; bytes cost when they move."""
    if not verdict.obligations.limits or verdict.action is not Action.ALLOW:
        return ()
    wanted = _AT_ONCE.get(type(request), frozenset())
    host = _host(getattr(request, "host", ""))
    return tuple(
        Due(limit, subject(limit, host, actor), 1, host if limit.measure == "names" else "")
        for limit in verdict.obligations.limits
        if limit.measure in wanted
    )


def subject(limit: Limit, host: str, actor: Actor) -> str:
    """For whom something is counted."""
    match limit.per:
        case "host":
            return host
        case "program":
            return actor.program
        case "sandbox":
            return actor.sandbox
        case "rule":
            return ""


def _host(text: str) -> str:
    """A host as it is counted, however an agent writes it."""
    host, address, _ = read_host(text)
    return host if address is None else str(address)


def exceeded(verdict: Verdict, excess: Excess, *, enforced: bool) -> Verdict:
    """The deny that stands in the place of an allow."""
    limit, wait = excess.limit, ceil(excess.wait)
    where = f"rule {limit.rule}" if limit.rule else "network"
    first = f"wait {span(wait)}" if wait else "send less at once"
    remedy = f"{first}, or raise limits.{limit.measure} of {where} ({limit.source})"
    return replace(
        verdict,
        action=Action.DENY,
        rule=limit.name,
        reason=plain(excess.reason()),
        severity=Severity.WARNING,
        remedy=remedy,
        source=limit.source,
        enforced=enforced,
        wait=wait,
    )


class Meter:
    """Counts the bytes of one flow, or of one request and its answer, before they move on.

    `reached` records the limit that was, and makes the deny of it; `failed` that of a failure.
    Under `mode: observe` (not `enforced`) what is too much is counted and told once, and passes.
    """

    __slots__ = ("_dues", "_enforced", "_failed", "_quota", "_reached", "_told")

    def __init__(
        self,
        quota: Quota,
        dues: Mapping[Direction, tuple[Due, ...]],
        enforced: bool,
        reached: Callable[[Excess], Verdict],
        failed: Callable[[Exception], Verdict],
    ) -> None:
        self._quota = quota
        self._dues = dues
        self._enforced = enforced
        self._reached = reached
        self._failed = failed
        self._told = False

    def left(self, direction: Direction) -> int:
        """How many bytes may move now; where all are counted in another process, nobody knows."""
        due = self._dues[direction]
        return self._quota.left(due) if due and self._enforced else sys.maxsize

    def spend(self, direction: Direction, size: int, settled: Settled) -> None:
        """Count bytes that are about to move; `settled` says whether they may."""
        due = tuple(replace(each, amount=size) for each in self._dues[direction])

        def charged(told: Excess | Exception | None) -> None:
            settled(self._verdict(told))

        if due and size:
            self._quota.charge(due, charged, anyway=not self._enforced)
        else:
            settled(None)

    async def spent(self, direction: Direction, size: int) -> Verdict | None:
        """`spend` for asyncio."""
        import asyncio  # 30 ms that only the depth process needs to spend

        future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()

        def settle(verdict: Verdict | None) -> None:
            if not future.done():
                future.set_result(verdict)

        self.spend(direction, size, settle)
        return await future

    def _verdict(self, told: Excess | Exception | None) -> Verdict | None:
        try:
            return self._unless(told)
        except Exception as error:
            return self._failed(error)

    def _unless(self, told: Excess | Exception | None) -> Verdict | None:
        if isinstance(told, Exception):
            raise told
        if told is None or (self._told and not self._enforced):
            return None
        self._told = True
        denied = self._reached(told)
        return None if denied.allowed else denied


def byte_dues(request: Request, actor: Actor, verdict: Verdict) -> dict[Direction, tuple[Due, ...]]:
    """What each byte of an allowed flow costs, by its direction; nothing at all where no limit is
    about bytes."""
    if not any(each.measure in ("sent", "received") for each in verdict.obligations.limits):
        return {}
    host = _host(getattr(request, "host", ""))
    directions: tuple[Direction, ...] = ("sent", "received")
    return {
        direction: tuple(
            Due(each, subject(each, host, actor), 1)
            for each in verdict.obligations.limits
            if each.measure == direction
        )
        for direction in directions
    }
