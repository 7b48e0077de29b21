"""Limits are counted in the gate alone: how the depth process and workers ask it to count.

A worker waits for each answer, over a socket of its own, and so counts as the gate itself does.
Depth goes on meanwhile: over its channel (handover.py) a "charge" goes to the gate and a "charged"
comes back, by number, with what limit is reached, or with why it could not be counted, or with
neither. Where many bytes move, depth asks for some ahead, so that not every piece waits for an
answer: up to an eighth of what has moved within a second may be counted without being used. None is
used later than that, nor in another slot of a window (windows.py) than it was counted in, or a
window could hold too much. All processes read the system's one monotonic clock.
"""

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from time import monotonic
from typing import Any

from firewall import judge as door
from firewall.judge import Judge, fail_closed
from firewall.proxy import handover
from firewall.quota import Charged, Due, Excess, State
from firewall.verdict import Limit, Verdict
from firewall.windows import slot_end

type Body = dict[str, Any]

ANSWER_SECONDS = 5.0
"""How long a worker waits for the gate to count."""
AHEAD_SECONDS = 1.0
AHEAD = 64 << 10, 1 << 20
"""Bytes that are asked for ahead: at least, or it is not worth it, and at most."""


@dataclass(slots=True)
class _Credit:
    """What was counted already for some accounts: `moved` bytes, and `left` that may follow, as may
    those that are `asked` for and not answered."""

    until: float
    moved: int = 0
    left: int = 0
    asked: int = 0


class RemoteQuota:
    """The gate's counts, as the depth process charges them (quota.Quota)."""

    def __init__(
        self, send: Callable[[str, Body], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self._send = send
        self._clock = clock
        self._numbers = count()
        self._waiting: dict[int, Charged] = {}
        self._credits: dict[tuple[tuple[Limit, str], ...], _Credit] = {}

    def charge(self, dues: Sequence[Due], charged: Charged, *, anyway: bool = False) -> None:
        """Ask the gate; `charged` is called when its answer is there, or at once where it has
        counted that already."""
        in_bytes = all(each.limit.measure in ("sent", "received") for each in dues)
        if anyway or not in_bytes:
            self._ask(dues, charged, anyway=anyway)
        else:
            self._charge_bytes(dues, charged, self._credit(dues))

    def _credit(self, dues: Sequence[Due]) -> _Credit:
        now, key = self._clock(), tuple((each.limit, each.subject) for each in dues)
        if key not in self._credits or self._credits[key].until <= now:
            self._credits = {k: each for k, each in self._credits.items() if each.until > now}
            ends = (slot_end(each.limit.seconds, now) for each in dues)
            self._credits[key] = _Credit(min(now + AHEAD_SECONDS, *ends))
        return self._credits[key]

    def _charge_bytes(self, dues: Sequence[Due], charged: Charged, credit: _Credit) -> None:
        size, (least, most) = dues[0].amount, AHEAD
        more = min(credit.moved // 8, most) - credit.left - credit.asked
        credit.moved += size
        if size <= credit.left:
            credit.left -= size
            charged(None)
            return

        def told(answer: Excess | Exception | None) -> None:
            credit.asked -= more
            if isinstance(answer, Excess):
                self._ask(dues, charged)
                return
            if answer is None:
                credit.left += more
            charged(answer)

        if more < least:
            self._ask(dues, charged)
        else:
            credit.asked += more
            self._ask([replace(each, amount=size + more) for each in dues], told)

    def _ask(self, dues: Sequence[Due], charged: Charged, *, anyway: bool = False) -> None:
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
        self._waiting.pop(body["number"])(_answer(body))


class WaitingQuota:
    """The gate's counts as a worker charges them: each question waits for its answer (quota.Quota).

    `line` is a socket of its own, so that nothing else comes in between. Raises OSError where the
    gate does not answer in time, and from then on.
    """

    def __init__(self, line: socket.socket) -> None:
        line.settimeout(ANSWER_SECONDS)
        self._line = line
        self._lock = threading.Lock()

    def charge(self, dues: Sequence[Due], charged: Charged, *, anyway: bool = False) -> None:
        told = [asdict(each) for each in dues]
        body = self._asked("charge", {"number": 0, "dues": told, "anyway": anyway})
        charged(_answer(body))

    def left(self, dues: Sequence[Due]) -> int:
        body = self._asked("left", {"dues": [asdict(each) for each in dues]})
        return int(body["left"])

    def states(self, limits: Iterable[Limit]) -> tuple[State, ...]:
        """Nothing: the gate tells what is left."""
        return ()

    def close(self) -> None:
        """Ask no more."""
        self._line.close()

    def _asked(self, kind: str, body: Body) -> Body:
        with self._lock:
            handover.send(self._line, kind, body)
            answer = handover.receive(self._line)
            if answer is None:
                self._line.close()  # what comes too late must not be the next one's answer
                raise ConnectionResetError("the gate does not say what its limits leave")
        return answer[1]


def answer_for(judge: Judge, kind: str, body: Body, send: Callable[[str, Body], None]) -> None:
    """Answer a worker's question."""
    if kind == "charge":
        charge_for(judge, body, send)
        return

    def none(verdict: Verdict) -> None:
        send("left", {"left": 0})

    with fail_closed(judge, "gate.left", none):
        door.probe("gate.left")
        send("left", {"left": judge.quota.left(_dues(body))})


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
        judge.quota.charge(_dues(body), charged, anyway=body["anyway"])


def _dues(body: Body) -> list[Due]:
    return [Due(**{**each, "limit": Limit(**each["limit"])}) for each in body["dues"]]


def _answer(body: Body) -> Excess | Exception | None:
    if body["failed"]:
        return RuntimeError(f"the gate could not count this: {body['failed']}")
    return _excess(body["excess"]) if body["excess"] else None


def _excess(body: Body) -> Excess:
    return Excess(**{**body, "limit": Limit(**body["limit"])})
