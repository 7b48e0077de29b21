"""What the judge needs of others: a log, the GPUs' state, a person to ask, someone who counts.

Whoever puts a firewall together plugs in the real ones, and tests their own.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from firewall.actor import Actor
from firewall.requests import Request
from firewall.verdict import Verdict

type Answer = Callable[[Verdict], None]
type Done = Callable[[Exception | None], None]


class Log(Protocol):
    """Where records become durable. `done` runs, on any thread, with None or with the failure.

    One that is not `urgent` may wait a moment for others, but never behind a later one.
    """

    def append(
        self, event: Mapping[str, Any], done: Done | None = None, *, urgent: bool = True
    ) -> None: ...


class Gpu(Protocol):
    """What the GPUs are doing. `done` runs, on any thread, within a quarter of a second.

    `follow` asks for what they do in the minute after each moment told so: `tell` gets the facts
    of a record of its own.
    """

    def fresh(self, actor: Actor, done: Callable[[Mapping[str, Any]], None]) -> None: ...

    def follow(self, tell: Callable[[Mapping[str, Any]], None]) -> None: ...


class Desk(Protocol):
    """Where what the policy leaves to a person waits for one."""

    def standing(self, request: Request, actor: Actor, verdict: Verdict) -> Verdict:
        """The verdict, or an allow where a person has granted the like of it already."""

    def ask(self, request: Request, actor: Actor, verdict: Verdict, answer: Answer) -> None:
        """Call `answer` once, on any thread, with an allow or a deny; a deny when time is up."""


class Witness(Protocol):
    """Who counts and shows verdicts: a record's event, and the seconds that the decision took."""

    def verdict(self, event: Mapping[str, Any], seconds: float) -> None: ...
