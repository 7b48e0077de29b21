"""What one flow of the lane asks the judge; the answers come back on the loop."""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

from firewall import judge
from firewall.judge import fail_closed
from firewall.protocols.http1 import Head
from firewall.proxy.handover import Handover
from firewall.proxy.http import asking
from firewall.proxy.lane import messages
from firewall.proxy.lane.house import House
from firewall.requests import Direction, Finding, HttpRequest, Message
from firewall.verdict import Verdict

type Answered = Callable[[Verdict], None]


class Judging:
    """Knows the flow's facts. `failed` refuses, or cuts, what a fault was found in."""

    def __init__(self, house: House, given: Handover, failed: Answered) -> None:
        self._house = house
        self._given = given
        self._failed = failed
        self._facts = {
            "flow": given.flow,
            "client": list(given.client),
            "host": given.host,
            "port": given.port,
            "reach": [given.address],
        }

    def guard(
        self, point: str, asked: HttpRequest | None
    ) -> contextlib.AbstractContextManager[None]:
        """Whatever fails inside is a recorded deny of `asked`."""
        return fail_closed(
            self._house.judge, point, self._failed, request=asked, actor=self._given.actor
        )

    def describe(self, head: Head) -> HttpRequest:
        """A request's head as the judge is asked about it."""
        described = messages.described(head, "https" if self._given.protocol == "tls" else "http")
        return asking.ask(described, self._given.host, self._given.port, self._given.sni)

    def decide(self, asked: HttpRequest | Message, answered: Answered) -> None:
        """Judge with a record."""

        def answer(verdict: Verdict) -> None:
            self._house.loop.post(partial(answered, verdict))

        self._house.judge.decide(asked, self._given.actor, self._facts, answer)

    def finding(
        self,
        carrier: str,
        direction: Direction,
        findings: Sequence[Finding],
        settled: Answered,
        guard: Callable[[str], contextlib.AbstractContextManager[None]],
    ) -> None:
        """Judge what was found in a body; `settled` gets what stands by then."""
        place = self._given.host, self._given.port

        def settle(verdict: Verdict) -> None:
            with guard("lane.message"):
                judge.probe("lane.message")
                settled(self.standing(verdict))

        self.decide(Message(*place, carrier, direction, tuple(findings)), settle)

    def standing(self, verdict: Verdict) -> Verdict:
        """The verdict, or a quarantine's that has come since."""
        return self._house.judge.standing(verdict)
