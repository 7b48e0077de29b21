"""The gate's end of workshops: processes whose workers serve the many sandboxes of a node.

Each sandbox has a gate of its own, with one worker in one workshop, and all that a gate does with
workers of its own it does with that one. When a workshop dies, so do its workers; it is started
anew, and they begin again in it.
"""

import itertools
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from firewall.metrics import Metrics, WorkerState
from firewall.proxy import handover
from firewall.proxy.handover import Duty, Setup
from firewall.proxy.link import Link
from firewall.proxy.loop import Loop, Timer
from firewall.proxy.workerlink import Pauses, Told, WorkerLink
from firewall.proxy.workers import CLOSE_SECONDS

LOOK_SECONDS = 10.0
"""Between looks whether a process hears; one that does not until the next is killed."""

type Note = Callable[[dict[str, Any]], None]


class WorkshopLink(Link):
    """Starts a process for workers, and starts it anew when it dies, after a pause."""

    program = "firewall.proxy.workshop"

    def __init__(
        self,
        loop: Loop,
        number: int,
        setup: Setup,
        serials: Iterator[int],
        metrics: Metrics,
        note: Note,
    ) -> None:
        super().__init__(loop, lambda: setup, self._heard)
        self.what = f"worker {number}"
        self.number = number
        self.chain = setup.chain
        self.serials = serials
        self.links: set[SharedLink] = set()
        self.waiting: set[SharedLink] = set()
        self.told = Told()
        self.pause = 0.0
        self._metrics = metrics
        self._note = note
        self._pauses = Pauses()
        self._processes = 0
        self._how_ended = ""
        self._look: Timer | None = None
        self._hears = False

    @property
    def up(self) -> bool:
        """Whether a process runs that takes in workers."""
        return not self.idle and self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start a process, and in it those that wait."""
        self._pauses.started()
        self._processes += 1
        self._flush()
        waiting, self.waiting = self.waiting, set()
        for each in waiting:
            each.start()

    def employ(self, channel: socket.socket) -> subprocess.Popen[bytes]:
        """Have a worker serve a channel; returns its process. Raises OSError."""
        if self._channel is None or self._process is None:
            raise OSError(f"{self.what} does not run")
        handover.send(self._channel, "worker", {}, (channel.fileno(),))
        return self._process

    def state(self) -> WorkerState:
        """Any thread may ask."""
        flows = sum(self.told.flows.values())
        return WorkerState(self.number, self._look is not None, flows, max(0, self._processes - 1))

    def _heard(self, kind: str, body: dict[str, Any]) -> None:
        match kind:
            case "counts":
                self._counted(body)
            case "done":
                self._hears = True
            case "died":
                self._ended_early()

    def _counted(self, body: dict[str, Any]) -> None:
        self.told.audit, self.told.waiting = body["audit"], body["waiting"]
        if self._look is None and self._retiring is None:
            self._hears = True
            self._ask()
        if changes := body["changes"]:
            self.told.flows.update(changes["flows"])
            self._metrics.merge(changes)

    def _ask(self) -> None:
        """A process whose loop stands still serves nobody: another takes its place."""
        if not self._hears:
            self.kill()
        self._hears = False
        self.say("heard", {})
        self._look = self._loop.after(LOOK_SECONDS, self._ask)

    def _drop(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None
        super()._drop()

    def _died(self) -> None:
        self._how_ended = self._how()
        super()._died()

    def _ended_early(self) -> None:
        self._metrics.ended(self.told.flows)
        self.told = Told()
        self.pause = self._pauses.next()
        self._loop.after(self.pause, self.start)
        self._note(
            {
                "worker": self.number,
                "writes": self.chain,
                "reason": f"{self.what} ended unexpectedly: {self._how_ended}",
                "sandboxes": sorted(each.duty.sandbox for each in self.links),
                "replaced_in": self.pause,
            }
        )


class SharedLink(WorkerLink):
    """Our end of a worker that shares its process. While there is none it waits for the next."""

    def __init__(self, workshop: WorkshopLink, loop: Loop, duty: Duty, *more: Any) -> None:
        super().__init__(loop, replace(duty, chain=workshop.chain), *more)
        self.what = f"worker {workshop.number} for {duty.sandbox}"
        self.number = workshop.number
        self._serials = workshop.serials
        self._workshop = workshop
        workshop.links.add(self)

    def start(self) -> None:
        if self._workshop.up:
            super().start()
        else:
            self._next = None
            self._workshop.waiting.add(self)

    def replace_later(self) -> float:
        if self._workshop.up:
            return super().replace_later()
        self._workshop.waiting.add(self)
        return self._workshop.pause

    def retire(self) -> None:
        self._workshop.waiting.discard(self)
        super().retire()

    def close(self) -> None:
        self._workshop.links.discard(self)
        self._drop()

    def _launch(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        return self._workshop.employ(theirs)

    def _clear_away(self) -> None:
        """Others live on in the process."""
        self._drop()
        self._process = None


class Workshops:
    """All workshops of a node; none where `setups` has none."""

    def __init__(self, loop: Loop, setups: list[Setup], metrics: Metrics, note: Note) -> None:
        serials = itertools.count(1)
        self._all = [
            WorkshopLink(loop, number, setup, serials, metrics, note)
            for number, setup in enumerate(setups, 1)
        ]
        for each in self._all:
            each.start()

    def place(self) -> WorkshopLink:
        """Where the next sandbox is served: where there are fewest, and a process runs."""
        return min(self._all, key=lambda each: (not each.up, len(each.links)))

    def close(self) -> None:
        """End them all, and hear what they have still to tell."""
        for each in self._all:
            each.retire()
        until = time.monotonic() + CLOSE_SECONDS
        for each in self._all:
            each.finish(until)
            if not each.idle:
                each.kill()
            each.close()

    def states(self) -> tuple[WorkerState, ...]:
        """Each of them. Any thread may ask."""
        return tuple(each.state() for each in self._all)

    @property
    def audit(self) -> str:
        """ "ok", or why one of them can record nothing."""
        return next((each.told.audit for each in self._all if each.told.audit != "ok"), "ok")

    @property
    def waiting(self) -> int:
        """Records of theirs that wait for the disk."""
        return sum(each.told.waiting for each in self._all)
