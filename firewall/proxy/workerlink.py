"""The gate's end of one worker, which runs until the gate ends and is replaced when it dies.

A worker gets its listeners only once it has said that it is ready, behind all that it was told
meanwhile. So one that starts serves nobody by an old policy, nor through a quarantine, and nobody
need wait for it.
"""

import itertools
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from firewall.proxy import handover
from firewall.proxy.handover import Duty, Setup
from firewall.proxy.link import Link
from firewall.proxy.loop import READ, Loop, Timer

PAUSES = 0.1, 10.0
"""Seconds before a worker is replaced: at first, and at most, as each early death doubles them."""
LONG_SECONDS = 10.0
"""After which a death is no early one."""
READY_SECONDS = 60.0
"""In which a process is ready to serve, or it is killed."""
FLOWS_EACH = 10**9
"""Numbers of flows that each process has for its own, so that no two flows share one."""

type Hear = Callable[[WorkerLink, str, dict[str, Any], list[int]], None]
type Begin = Callable[[ExitStack], Mapping[str, int]]
type Answer = Callable[[str, dict[str, Any], Callable[[str, dict[str, Any]], None]], None]


class WorkerLink(Link):
    """Starts a worker and hears it. `setup` is the gate's, for the chain that `duty` names.

    `begin` gives the descriptors that each new process needs, by name; those on the stack are
    closed once they are sent. `listeners` is the list of all that workers accept from, by kind.
    `answer` answers what a worker asks about limits (quotalink.py), and `hear` gets all else.
    """

    program = "firewall.proxy.worker"

    def __init__(
        self,
        loop: Loop,
        duty: Duty,
        setup: Callable[[], Setup],
        begin: Begin,
        listeners: list[tuple[str, socket.socket]],
        answer: Answer,
        hear: Hear,
    ) -> None:
        super().__init__(loop, lambda: replace(setup(), chain=duty.chain), self._reported)
        self.what = f"worker {duty.number}"
        self.number = duty.number
        self.duty = duty
        self._serials: Iterator[int] = itertools.count(duty.number, duty.workers)
        self._begin = begin
        self._listeners = listeners
        self._answer = answer
        self._hear = hear
        self._line: socket.socket | None = None
        self._processes = 0
        self._pauses = Pauses()
        self._overdue: Timer | None = None
        self._next: Timer | None = None
        self.ended_with = ""
        self.told = Told()

    @property
    def pid(self) -> int:
        """The number of the process, 0 where none runs."""
        return 0 if self.idle or self._process is None else self._process.pid

    @property
    def serves(self) -> bool:
        """Whether the process may have flows."""
        return not self.idle and self.told.digest != ""

    @property
    def restarts(self) -> int:
        """How many processes followed the first one."""
        return max(0, self._processes - 1)

    def start(self) -> None:
        """Start a process."""
        self._next = None
        self._pauses.started()
        self.told = Told()
        self._overdue = self._loop.after(READY_SECONDS, self.kill)
        self._flush()

    def listen(self, kind: str, listener: socket.socket) -> None:
        """Have a process that serves accept from a listener; others are told once they are
        ready."""
        if self.serves:
            self.say("listen", {"kind": kind}, (listener.fileno(),))

    def retire(self) -> None:
        """End the process for good; what it waits for is answered no more."""
        if self._next is not None:
            self._next.cancel()
        self._hang_up()
        super().retire()

    def replace_later(self) -> float:
        """Start another process after a pause; returns its seconds."""
        pause = self._pauses.next()
        self._next = self._loop.after(pause, self.start)
        return pause

    def _start(self) -> socket.socket:
        channel = super()._start()
        assert self._line is not None
        self._loop.watch(self._line.fileno(), READ, self._asked)
        return channel

    def _introduce(self, channel: socket.socket) -> None:
        self._processes += 1
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as stack:
            stack.enter_context(theirs)
            given = {"line": theirs.fileno(), **self._begin(stack)}
            body = {"duty": asdict(self._duty_now()), "descriptors": list(given)}
            handover.send(channel, "begin", body, tuple(given.values()))
        super()._introduce(channel)

    def _duty_now(self) -> Duty:
        return replace(self.duty, first_flow=next(self._serials) * FLOWS_EACH + 1)

    def _asked(self, events: int) -> None:
        """The worker waits for an answer. One that cannot be told it ends."""
        line = self._line
        if line is None or (message := handover.receive(line)) is None:
            self._hang_up()
            return
        try:
            self._answer(message[0], message[1], lambda *told: handover.send(line, *told))
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._loop.forget(self._line.fileno())
            self._line.close()
            self._line = None

    def _take(self, kind: str, body: dict[str, Any], fds: list[int]) -> None:
        if kind == "current":
            self._is_current(body["digest"])
        else:
            self._hear(self, kind, body, fds)

    def _is_current(self, digest: str) -> None:
        was_ready, self.told.digest = self.serves, digest
        if not was_ready:
            self._on_time()
            for kind, listener in self._listeners:
                self.listen(kind, listener)

    def _reported(self, kind: str, body: dict[str, Any]) -> None:
        self._hear(self, kind, body, [])

    def _died(self) -> None:
        self.ended_with = self._how()
        super()._died()

    def _on_time(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _drop(self) -> None:
        self._on_time()
        self._hang_up()
        super()._drop()


class Pauses:
    """How long it takes until what has ended is started anew."""

    def __init__(self) -> None:
        self._started = 0.0
        self._pause = PAUSES[0]

    def started(self) -> None:
        self._started = time.monotonic()

    def next(self) -> float:
        """The seconds of this pause: each early death doubles them."""
        lived = time.monotonic() - self._started
        pause = PAUSES[0] if lived > LONG_SECONDS else self._pause
        self._pause = min(2 * pause, PAUSES[1])
        return pause


class Told:
    """What a process has told of itself so far."""

    def __init__(self) -> None:
        self.flows: Counter[str] = Counter()
        self.digest = ""
        self.audit = "ok"
        self.waiting = 0
