"""What the limits of a policy leave: counted in one place for all that one sandbox does.

Whoever judges charges before it allows, all of what a request costs or nothing of it. A limit that
is written anew goes on with what was used of it, whatever its amount is now.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from math import ceil, inf
from time import monotonic
from typing import Any, NamedTuple, Protocol

from firewall.frozen import frozen
from firewall.verdict import Limit, Measure, Per
from firewall.windows import Distinct, Sum, Window

SUBJECTS = 1024
"""Hosts, programs or sandboxes that one limit counts apart: agents can make up names without end.
What is too many shares one count, so that nothing passes more than its limit."""

OTHERS = "\0others"
"""The subject of what is too many to be counted apart."""

_UNIT = {"sent": "bytes sent", "received": "bytes received", "names": "different names"}


@frozen
class Due:
    """What something costs: so much of a limit, for whom it is counted ("" for the rule as a
    whole), and which one it is where different ones are counted."""

    limit: Limit
    subject: str
    amount: int
    item: str = ""


@frozen
class Excess:
    """A limit that is reached: what of it is used, what was asked for, and the seconds until there
    is room for that; 0 where there never is, because it is more than all of the limit."""

    limit: Limit
    subject: str
    used: int
    asked: int
    wait: float

    def facts(self) -> dict[str, Any]:
        """What a record tells of it."""
        wait = round(self.wait, 3)
        return {**asdict(self.limit), "subject": self.subject, "used": self.used, "wait": wait}

    def reason(self) -> str:
        """What is used up, in words."""
        limit = self.limit
        whose = f"rule {limit.rule}" if limit.rule else "the whole network"
        whom = f" for {self.subject}" if self.subject else ""
        unit = _UNIT.get(limit.measure, limit.measure)
        more = f", and this is {self.asked:,}" if self.asked > 1 else ""
        when = f"there is room again in {span(self.wait)}"
        return (
            f"the limit {limit} of {whose} is reached: {self.used:,} of {limit.amount:,} {unit}"
            f"{whom}{more}; {when if self.wait else 'there is never room for so much at once'}"
        )


type Charged = Callable[[Excess | Exception | None], None]
"""Told that all was counted, or which limit has too little left, or what has failed."""


class Quota(Protocol):
    """Where is counted what limits leave."""

    def charge(self, dues: Sequence[Due], charged: Charged, *, anyway: bool = False) -> None:
        """Count all of it, or nothing and tell which limit has too little left; `anyway` counts
        that too."""

    def left(self, dues: Sequence[Due]) -> int:
        """The largest amount that may be charged for all of these at this moment."""
        ...

    def states(self, limits: Iterable[Limit]) -> "tuple[State, ...]":
        """What is left of each of these limits."""
        ...


class State(NamedTuple):
    """A limit at one moment: what is left of it for whom the least is left."""

    limit: Limit
    left: int


type _Key = tuple[str, Measure, int, Per]


class Accounts:
    """The windows of one limit, by subject. The least recently charged comes first."""

    def __init__(self, limit: Limit) -> None:
        self._make = partial(Distinct if limit.measure == "names" else Sum, limit.seconds)
        self._windows: OrderedDict[str, Window] = OrderedDict()

    def find(self, subject: str, now: float) -> Window:
        """A subject's window, or the one that it shares."""
        window = self._windows.get(subject)
        if window is None:
            if len(self._windows) >= SUBJECTS:
                self.forget(now)
            full = len(self._windows) >= SUBJECTS
            window = self._windows.get(OTHERS) if full else self._opened(subject)
            window = window or self._opened(OTHERS)
        return window

    def charged(self, subject: str) -> None:
        """Put the subject's window behind those that were charged before."""
        self._windows.move_to_end(subject if subject in self._windows else OTHERS)

    def most(self, now: float) -> int:
        """What is used by whom the most is used."""
        return max((each.used(now) for each in list(self._windows.values())), default=0)

    def forget(self, now: float) -> bool:
        """Drop what counts no more; whether nothing is left."""
        while self._windows and not next(iter(self._windows.values())).used(now):
            self._windows.popitem(last=False)
        return not self._windows

    def _opened(self, subject: str) -> Window:
        """What was among the others may be what is counted apart from now on."""
        others = self._windows.get(OTHERS)
        window = self._windows[subject] = self._make() if others is None else others.copy()
        return window


class Ledger:
    """Keeps the counts. Any thread may charge. `clock` tells seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[_Key, Accounts] = {}

    def charge(self, dues: Sequence[Due], charged: Charged, *, anyway: bool = False) -> None:
        """Count, and call `charged` at once; of several limits it tells the one that has too little
        for the longest time (Quota)."""
        charged(self._charge(dues, anyway=anyway))

    def _charge(self, dues: Sequence[Due], *, anyway: bool) -> Excess | None:
        with self._lock:
            now = self._clock()
            found = self._find(dues, now)
            excesses = [each for due, _, window in found if (each := _excess(due, window, now))]
            if not excesses or anyway:
                for due, accounts, window in found:
                    window.add(now, due.amount, due.item)
                    accounts.charged(due.subject)
        return max(excesses, key=lambda each: each.wait or inf, default=None)

    def left(self, dues: Sequence[Due]) -> int:
        """The largest amount that may be charged for all of these at this moment."""
        with self._lock:
            now = self._clock()
            found = self._find(dues, now)
            return max(0, min(due.limit.amount - window.used(now) for due, _, window in found))

    def states(self, limits: Iterable[Limit]) -> tuple[State, ...]:
        """What is left of each of these limits."""
        with self._lock:
            now = self._clock()
            used = ((each, self._most(each, now)) for each in limits)
            return tuple(State(limit, max(0, limit.amount - most)) for limit, most in used)

    def _most(self, limit: Limit, now: float) -> int:
        accounts = self._accounts.get(_key(limit))
        return accounts.most(now) if accounts else 0

    def _find(self, dues: Sequence[Due], now: float) -> list[tuple[Due, Accounts, Window]]:
        """The accounts and the window of each; those of other limits that count no more go."""
        if any(_key(each.limit) not in self._accounts for each in dues):
            for key in [key for key, each in self._accounts.items() if each.forget(now)]:
                del self._accounts[key]
        found = [(each, self._accounts_of(each.limit)) for each in dues]
        return [(due, accounts, accounts.find(due.subject, now)) for due, accounts in found]

    def _accounts_of(self, limit: Limit) -> Accounts:
        return self._accounts.setdefault(_key(limit), Accounts(limit))


def span(seconds: float) -> str:
    """A time for people, rounded up: "34 s", "12 min", "3 h"."""
    whole = max(1, ceil(seconds))
    if whole < 120:
        return f"{whole} s"
    return f"{ceil(whole / 60)} min" if whole < 7200 else f"{ceil(whole / 3600)} h"


def _excess(due: Due, window: Window, now: float) -> Excess | None:
    used = window.used(now)
    surplus = used + window.cost(now, due.amount, due.item) - due.limit.amount
    if surplus <= 0:
        return None
    wait = window.wait(now, surplus) if due.amount <= due.limit.amount else 0.0
    return Excess(due.limit, due.subject, used, due.amount, wait)


def _key(limit: Limit) -> _Key:
    return limit.rule, limit.measure, limit.seconds, limit.per
