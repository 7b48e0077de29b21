"""What one flow of the lane asks the judge; the answers come back on the loop."""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

from firewall import judge
from firewall.charging import Meter
from firewall.events import Facts
from firewall.proxy.handover import Handover
from firewall.proxy.lane.house import House
from firewall.requests import Connect, Direction, Finding, HttpRequest, Message
from firewall.verdict import Verdict

type Answered = Callable[[Verdict], None]
type Guard = Callable[[str], contextlib.AbstractContextManager[None]]


class Judging:
    """Knows the flow's facts. `failed` refuses, or cuts, what a fault was found in; `others` are
    the flow's connections to the addresses that were not judged yet."""

    def __init__(self, house: House, given: Handover, others: Sequence[Connect]) -> None:
        self._house = house
        self._given = given
        self._others = list(others)
        self._facts = Facts(
            flow=given.flow,
            client=list(given.client),
            host=given.host,
            port=given.port,
            reach=[given.address],
        )

    def decide(
        self, asked: Connect | HttpRequest | Message, answered: Answered, *, counted: bool = False
    ) -> None:
        """Judge with a record; `counted` says that limits have counted it (judge.Judge)."""

        def answer(verdict: Verdict) -> None:
            self._house.loop.post(partial(answered, verdict))

        self._house.judge.decide(asked, self._given.actor, self._facts, answer, counted=counted)

    def meter(self, asked: HttpRequest, verdict: Verdict) -> Meter | None:
        """What counts the bytes of an allowed request and its answer, where they are limited."""
        return self._house.judge.meter(asked, self._given.actor, self._facts, verdict)

    def finding(
        self,
        carrier: str,
        direction: Direction,
        findings: Sequence[Finding],
        asked: HttpRequest | None,
        settled: Answered,
        guard: Guard,
    ) -> None:
        """Judge what was found in a body; `settled` gets what stands by then."""
        place = self._given.host, self._given.port

        def settle(verdict: Verdict) -> None:
            with guard("lane.message"):
                judge.probe("lane.message")
                settled(self.standing(verdict))

        self.decide(Message(*place, carrier, direction, tuple(findings), asked), settle)

    def another(self, guard: Guard, then: Callable[[str | None], None]) -> None:
        """Judge the next address that the policy would allow; None where there is no other.

        It has to be obliged as the flow is, or the lane may not be its way.
        """
        with guard("lane.another"):
            judge.probe("lane.another")
            asked = self._next_allowed()
            if asked is None:
                then(None)
            else:
                judged = partial(self._judged, guard, then, asked.address)
                self.decide(asked, judged, counted=True)

    def _next_allowed(self) -> Connect | None:
        while self._others:
            asked = self._others.pop(0)
            if self._house.judge.preview(asked, self._given.actor).allowed:
                return asked
        return None

    def _judged(
        self,
        guard: Guard,
        then: Callable[[str | None], None],
        address: str | None,
        verdict: Verdict,
    ) -> None:
        with guard("lane.another"):
            judge.probe("lane.another")
            standing = self.standing(verdict)
            if standing.allowed and standing.obligations == self._given.verdict.obligations:
                self._facts = Facts({**self._facts, "reach": [address]})
                then(address)
            else:
                self.another(guard, then)

    def standing(self, verdict: Verdict) -> Verdict:
        """The verdict, or a quarantine's that has come since."""
        return self._house.judge.standing(verdict)
