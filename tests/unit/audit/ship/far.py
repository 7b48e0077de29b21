"""A far end in memory, which fails as it is told to, and items to send."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from firewall.actor import Actor, Process
from firewall.audit import describe
from firewall.audit.record import GENESIS, Stamp, encode_event, seal
from firewall.audit.ship import Item
from firewall.requests import Connect, Request
from firewall.verdict import Action, Severity, Verdict

ACTOR = Actor(
    "run-1",
    Process(41, 1.0, "/usr/bin/python3", ("python3", "a.py"), 1000),
    (Process(40, 1.0, "/bin/sh", ("sh",), 1000),),
    tool_call="toolu_1",
)


class Far:
    """Keeps what it acknowledged. `before` may raise instead."""

    def __init__(self, before: Callable[[Sequence[Item]], int] = lambda items: 0) -> None:
        self.items: list[Item] = []
        self._before = before

    def send(self, items: Sequence[Item]) -> int:
        refused = self._before(items)
        self.items += items
        return refused

    def close(self) -> None: ...

    def ids(self, chain: str) -> list[int]:
        return [item.seq for item in self.items if item.chain == chain]


def verdict_event(request: Request, verdict: Verdict) -> dict[str, Any]:
    return {
        "kind": "verdict",
        "request": {"type": type(request).__name__, **describe(request)},
        "verdict": describe(verdict),
        "actor": describe(ACTOR),
        "flow": {},
    }


def item(event: Mapping[str, Any] | None = None, seq: int = 1, chain: str = "gate-0") -> Item:
    event = event or verdict_event(
        Connect("pool.test", 3333), Verdict(Action.DENY, "default", "no", Severity.CRITICAL)
    )
    origin = f'"boot_id":"b","chain":"{chain}"'
    line, digest = seal(seq, Stamp.now(), origin, encode_event(event), GENESIS)
    return Item(chain, seq, digest, line)
