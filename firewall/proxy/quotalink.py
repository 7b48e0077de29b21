"""Limits are counted in the gate alone: how the depth process asks it to count.

Over their channel (handover.py) a "charge" goes to the gate and a "charged" comes back, by number:
with what limit is reached, or with why it could not be counted, or with neither.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import count
from typing import Any

from firewall import judge as door
from firewall.judge import Judge, fail_closed
from firewall.quota import Charged, Due, Excess, State
from firewall.verdict import Limit, Verdict

type Body = dict[str, Any]


class RemoteQuota:
    """The gate's counts, as the depth process charges them (quota.Quota)."""

    def __init__(self, send: Callable[[str, Body], None]) -> None:
        self._send = send
        self._numbers = count()
        self._waiting: dict[int, Charged] = {}

    def charge(self, dues: Sequence[Due], charged: Charged, *, anyway: bool = False) -> None:
        """Ask the gate; `charged` is called when its answer is there."""
        number = next(self._numbers)
        self._waiting[number] = charged
        told = [asdict(each) for each in dues]
        self._send("charge", {"number": number, "dues": told, "anyway": anyway})

    def left(self, dues: Sequence[Due]) -> int:
        """Nobody asks here: what the gate says would be old by the time it is read."""
        raise NotImplementedError("only the gate knows what is left")

    def states(self, limits: Iterable[Limit]) -> tuple[State, ...]:
        """Nothing: the gate tells what is left."""
        return ()

    def answered(self, body: Body) -> None:
        """The gate has counted, or refused."""
        charged = self._waiting.pop(body["number"])
        if body["failed"]:
            charged(RuntimeError(f"the gate could not count this: {body['failed']}"))
        else:
            charged(_excess(body["excess"]) if body["excess"] else None)


def charge_for(judge: Judge, body: Body, send: Callable[[str, Body], None]) -> None:
    """Count what the depth process asks for, and send it the answer."""

    def answer(excess: Excess | None = None, failed: str = "") -> None:
        told = asdict(excess) if excess is not None else None
        send("charged", {"number": body["number"], "excess": told, "failed": failed})

    def charged(told: Excess | Exception | None) -> None:
        answer(told) if isinstance(told, Excess | None) else answer(failed=repr(told))

    def refuse(verdict: Verdict) -> None:
        answer(failed=verdict.reason)

    with fail_closed(judge, "gate.charge", refuse):
        door.probe("gate.charge")
        dues = [Due(**{**each, "limit": Limit(**each["limit"])}) for each in body["dues"]]
        judge.quota.charge(dues, charged, anyway=body["anyway"])


def _excess(body: Body) -> Excess:
    return Excess(**{**body, "limit": Limit(**body["limit"])})
