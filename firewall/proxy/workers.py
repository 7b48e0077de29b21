"""The workers of a gate: processes that serve flows beside it, on other cores.

The gate that has workers accepts nothing itself. It answers DNS, counts limits, keeps the one depth
process and is the one whom people ask; each worker accepts from the same listeners and judges by
the same policy, with a chain of records of its own. What all must have done before something is
said to be done, all have done, or they are killed.
"""

import itertools
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Protocol

from firewall import judge as door
from firewall.deeds import Deed
from firewall.frozen import frozen
from firewall.judge import Judge, fail_closed
from firewall.metrics import Metrics, WorkerState
from firewall.proxy import handover
from firewall.proxy.handover import Duty, Handover, Setup
from firewall.proxy.loads import Loads
from firewall.proxy.loop import Loop, Timer
from firewall.proxy.nametable import NameTable
from firewall.proxy.quotalink import answer_for
from firewall.proxy.relay import reset_on_close
from firewall.proxy.ways import Road
from firewall.proxy.workerlink import WorkerLink
from firewall.verdict import Verdict

CUT_SECONDS = 1.0
"""In which a worker has cut its flows, or it is killed."""
TOLD_SECONDS = 10.0
"""In which a worker does by a new policy, or it is killed."""
CONCLUDE_SECONDS = 2.5
CLOSE_SECONDS = 3.0
"""How long workers may take to write their last records."""


class Gate(Protocol):
    """What workers need of the gate."""

    loop: Loop
    judge: Judge
    metrics: Metrics

    def is_full(self) -> bool: ...
    def setup(self) -> Setup: ...
    def hand_over(self, given: Handover, client: socket.socket) -> bool: ...
    def question(self, client: socket.socket, road: Road) -> None: ...
    def reported(self, kind: str, body: dict[str, Any]) -> None: ...
    def learned(self, done: tuple[Deed, ...], teller: WorkerLink) -> None: ...


@frozen
class Staff:
    """What all workers are told: `duty` is the first one's, of as many as it says.

    `names` is where they read which name an address stands for. `open_diag` makes a socket that
    tells whose flows are whose in the sandbox; without it each makes one for itself. `link` makes
    our end of each: a process of its own, or a share of one (workshops.py).
    """

    duty: Duty
    names: NameTable | None = None
    open_diag: Callable[[], socket.socket] | None = None
    link: Callable[..., WorkerLink] = WorkerLink


class Round:
    """What all workers are asked to do, until those that are missing have done it or have ended."""

    def __init__(self, missing: set[WorkerLink], done: Callable[[int], None]) -> None:
        self.missing = missing
        self.done = done
        self.count = 0
        self.timer: Timer | None = None


class Workers:
    """All workers of a gate; none without a `staff`. Runs on the gate's loop."""

    def __init__(self, gate: Gate, staff: Staff | None = None) -> None:
        self._gate = gate
        self._listeners: list[tuple[str, socket.socket]] = []
        self._rounds: dict[int, Round] = {}
        self._numbers = itertools.count(1)
        self._links: list[WorkerLink] = []
        self._shared: list[Loads | NameTable] = []
        if staff is not None:
            self._hire(staff)

    def _hire(self, staff: Staff) -> None:
        count = staff.duty.workers
        self._loads = Loads(count)
        self._shared = [self._loads, *([staff.names] if staff.names else [])]
        answer = partial(answer_for, self._gate.judge)
        for number in range(1, count + 1):
            duty = replace(staff.duty, number=number, chain=f"{staff.duty.chain}.{number}")
            begin = partial(self._descriptors, staff)
            place = (self._gate.loop, duty, self._gate.setup, begin, self._listeners)
            self._links.append(staff.link(*place, answer, self._hear))
        for each in self._links:
            each.start()

    def _descriptors(self, staff: Staff, stack: ExitStack) -> Mapping[str, int]:
        given = {"loads": self._loads.descriptor}
        if staff.names is not None:
            given["names"] = staff.names.descriptor
        if staff.open_diag is not None:
            given["diag"] = stack.enter_context(staff.open_diag()).fileno()
        return given

    # What the gate tells them

    def listen(self, kind: str, listener: socket.socket) -> bool:
        """Let them accept from a listener; False where there is nobody to do so."""
        self._listeners.append((kind, listener))
        for each in self._links:
            each.listen(kind, listener)
        return bool(self._links)

    def update(self) -> None:
        """Tell them of a new policy; a worker that does not take it in is killed."""
        for each in self._links:
            each.update()
        self.heard(lambda: None)

    def tell(self, done: tuple[Deed, ...], teller: WorkerLink | None = None) -> None:
        """Tell them what was done, but for the one that has told it."""
        for each in self._links:
            if each is not teller:
                each.tell(done)

    def called(self, pid: int, started: float, call: str) -> None:
        """Tell them that a process belongs to a tool call."""
        for each in self._links:
            each.say("called", {"pid": pid, "started": started, "call": call})

    def cut(self, done: Callable[[int], None]) -> None:
        """Have every door shut and every flow cut, then call `done` with how many there were.

        A worker that does not say so in time is killed, which ends its flows as well.
        """
        shut = self._gate.judge.quarantined
        body = {"shut": asdict(shut) if shut else None}
        self._ask("cut", body, done, CUT_SECONDS)

    def heard(self, done: Callable[[], None]) -> None:
        """Call `done` once all do by what they were told so far, or are killed."""
        self._ask("heard", {}, lambda _: done(), TOLD_SECONDS)

    def conclude(self, done: Callable[[], None]) -> None:
        """Have what waits for a verdict judged, as far as there is time, then call `done`."""
        self._ask("conclude", {}, lambda _: done(), CONCLUDE_SECONDS, must=False)

    def retire(self) -> None:
        """End them all, without waiting for it."""
        for each in self._links:
            each.retire()

    @property
    def idle(self) -> bool:
        """Whether none runs."""
        return all(each.idle for each in self._links)

    def close(self) -> None:
        """End them all, and hear what they have still to tell."""
        self.retire()
        until = time.monotonic() + CLOSE_SECONDS
        for each in self._links:
            each.finish(until)
            if not each.idle:
                each.kill()
            each.close()
        self._links.clear()
        for shared in self._shared:
            shared.close()

    # What is known of them

    def status(self) -> dict[str, Any]:
        """How many there are, the processes of those that run, how many of these judge by the
        policy in force, the flows of each that serves, and how often one was started anew, as JSON
        can hold it; nothing where there are to be none."""
        if not self._links:
            return {}
        running = [each for each in self._links if each.pid]
        digest = self._gate.judge.policy.digest
        return {
            "workers": len(self._links),
            "worker_pids": [each.pid for each in running],
            "workers_current": sum(each.told.digest == digest for each in running),
            "worker_flows": [each.flows for each in self.states() if each.serves],
            "worker_restarts": sum(each.restarts for each in self._links),
        }

    def states(self) -> tuple[WorkerState, ...]:
        """Each of them. Any thread may ask."""
        return tuple(
            WorkerState(each.number, each.serves, self._loads.flows(number), each.restarts)
            for number, each in enumerate(self._links)
        )

    @property
    def audit(self) -> str:
        """ "ok", or why one of them can record nothing."""
        return next((each.told.audit for each in self._links if each.told.audit != "ok"), "ok")

    @property
    def waiting(self) -> int:
        """Records of theirs that wait for the disk."""
        return sum(each.told.waiting for each in self._links)

    # Asking all

    def _ask(
        self,
        kind: str,
        body: dict[str, Any],
        done: Callable[[int], None],
        seconds: float,
        *,
        must: bool = True,
    ) -> None:
        """Ask all that serve; who has not done in time what it `must` is killed.

        One that is starting does it before it serves anybody (workerlink.py).
        """
        number = next(self._numbers)
        asked = Round({each for each in self._links if each.serves}, done)

        def time_is_up() -> None:
            for each in list(asked.missing):
                if must:
                    each.kill()
                else:
                    self._done(each, number, 0)

        self._rounds[number] = asked
        asked.timer = self._gate.loop.after(seconds, time_is_up)
        for each in self._links:
            each.say(kind, {**body, "round": number})
        self._settle(number)

    def _done(self, worker: WorkerLink, number: int, count: int) -> None:
        if (asked := self._rounds.get(number)) is not None:
            asked.missing.discard(worker)
            asked.count += count
            self._settle(number)

    def _excused(self, worker: WorkerLink) -> None:
        """A worker does nothing of what it was asked any more."""
        for number in list(self._rounds):
            self._done(worker, number, 0)

    def _settle(self, number: int) -> None:
        asked = self._rounds.get(number)
        if asked is not None and not asked.missing:
            del self._rounds[number]
            if asked.timer is not None:
                asked.timer.cancel()
            asked.done(asked.count)

    # What they tell

    def _hear(self, worker: WorkerLink, kind: str, body: dict[str, Any], fds: list[int]) -> None:
        match kind:
            case "flow" | "question":
                self._take(kind, body, fds)
            case "counts":
                self._counted(worker, body)
            case "deeds":
                self._gate.learned(handover.decode_deeds(body), worker)
            case "done":
                self._done(worker, body["round"], body["count"])
            case "died":
                self._died(worker)
            case "retired":
                self._gone(worker)
            case _:
                self._gate.reported(kind, body)

    def _take(self, kind: str, body: dict[str, Any], fds: list[int]) -> None:
        """A connection that is for the depth process, or a client that asks for names by TCP."""
        if not fds:
            return  # no descriptor was left for it, and so the kernel has closed it
        client = socket.socket(fileno=fds[0])

        def refuse(verdict: Verdict) -> None:
            reset_on_close(client)
            client.close()

        with fail_closed(self._gate.judge, "workers.flow", refuse):
            door.probe("workers.flow")
            if kind == "question":
                self._gate.question(client, handover.decode_road(body))
            elif self._gate.is_full() or not self._gate.hand_over(handover.decode(body), client):
                client.close()

    def _counted(self, worker: WorkerLink, body: dict[str, Any]) -> None:
        worker.told.audit, worker.told.waiting = body["audit"], body["waiting"]
        if changes := body["changes"]:
            worker.told.flows.update(changes["flows"])
            self._gate.metrics.merge(changes)

    def _gone(self, worker: WorkerLink) -> None:
        """Its flows ended with it; what it has counted stays."""
        self._loads.gone(worker.duty.number - 1)
        self._gate.metrics.ended(worker.told.flows)
        worker.told.flows.clear()
        self._excused(worker)

    def _died(self, worker: WorkerLink) -> None:
        facts = {
            "worker": worker.number,
            "sandbox": worker.duty.sandbox,
            "writes": worker.duty.chain,
            "reason": f"worker {worker.number} ended unexpectedly: {worker.ended_with}",
            "flows": self._loads.flows(worker.duty.number - 1),
            "replaced_in": worker.replace_later(),
        }
        self._gate.judge.note("worker.died", facts)
        self._gone(worker)
