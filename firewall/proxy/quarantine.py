"""The quarantine of one sandbox: closed by a critical block or a person, opened by a person.

The judge has shut the door before anything here runs. What is left to do is to cut what is open, to
say so, and where it is asked for to stop the processes.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from firewall import judge
from firewall.causes import Cause
from firewall.judge import Judge, fail_closed
from firewall.metrics import Metrics, SandboxState
from firewall.proxy.loop import Loop
from firewall.verdict import Verdict

logger = logging.getLogger(__name__)

BY_HAND = "by-hand"
"""The rule of a quarantine that a person asked for."""

type Reply = Callable[[dict[str, Any]], None]


class Gate(Protocol):
    """What the quarantine needs of the gate."""

    loop: Loop
    judge: Judge
    metrics: Metrics

    def cut(self, done: Callable[[int], None]) -> None: ...
    def update(self) -> None: ...
    def heard(self, done: Callable[[], None]) -> None: ...
    def status(self) -> dict[str, Any]: ...


class Freezer(Protocol):
    """Stops a sandbox's processes. `done` gets their number and what went wrong ("" if nothing),
    on any thread. `knows_any` says whether there is anybody whom it may stop."""

    @property
    def knows_any(self) -> bool: ...
    def freeze(self, done: Callable[[int, str], None]) -> None: ...
    def thaw(self, done: Callable[[int, str], None]) -> None: ...


class Quarantine:
    """Runs on the gate's loop. `tell` says a line to the engineer, `end` ends the firewall.

    Without `freezer` there are no processes that may be stopped. `namespace` is the inode of the
    sandbox's network namespace, by which others know its processes.
    """

    def __init__(
        self,
        gate: Gate,
        name: str,
        tell: Callable[[str], None],
        end: Callable[[], None],
        freezer: Freezer | None = None,
        namespace: int | None = None,
    ) -> None:
        self._gate = gate
        self._name = name
        self._tell = tell
        self._end = end
        self._freezer = freezer
        self._namespace = namespace
        self._started = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self._cause: Cause | None = None
        self._state: SandboxState = "running"
        self._waiting: list[Reply] = []
        self._until_cut: list[Callable[[], None]] | None = None
        self.freezing = False
        gate.judge.alarm = self._alarmed

    def status(self) -> dict[str, Any]:
        """The sandbox and its state, as JSON can hold it."""
        cause = self._cause
        return {
            "name": self._name,
            "pid": os.getpid(),
            "namespace": self._namespace,
            **self._gate.judge.policy.standing(),
            "started": self._started,
            "state": self._state,
            "since": cause.since if cause else self._started,
            "why": f"{cause.rule}: {cause.reason}" if cause else "",
            **self._gate.status(),
        }

    def impose(self, by: str, *, freeze: bool, reply: Reply) -> None:
        """Close it because a person wants it closed."""
        self._gate.judge.quarantine(Cause(BY_HAND, f"{by} asked for it", freeze, by))
        # Behind what the alarm has posted.
        self._gate.loop.post(lambda: self._once_cut(partial(self._imposed, reply)))

    def _imposed(self, reply: Reply) -> None:
        if self.freezing and self._state != "frozen":
            self._waiting.append(reply)
        else:
            reply(self.status())

    def release(self, by: str, reply: Reply) -> None:
        """Open it again; it stays closed until that is recorded."""
        self._once_cut(partial(self._release, by, reply))

    def _release(self, by: str, reply: Reply) -> None:
        if self._cause is None:
            reply({"error": f"{self._name} is in no quarantine"})
            return
        facts = {"sandbox": self._name, "by": by, "was": self._state, **_told(self._cause)}

        def recorded(error: Exception | None) -> None:
            self._gate.loop.post(lambda: self._open(error, by, reply))

        self._gate.judge.note("release", facts, recorded)

    # Closing

    def _alarmed(self, cause: Cause) -> None:
        self._gate.loop.post(partial(self._begin, cause))

    def _begin(self, cause: Cause) -> None:
        with fail_closed(self._gate.judge, "quarantine.begin", self._give_up):
            judge.probe("quarantine.begin")
            if self._gate.judge.quarantined is None:
                return  # It was released before this had its turn.
            if self._cause is None:
                self._close(cause)
            if cause.freeze:
                self._once_cut(self._freeze)

    def _close(self, cause: Cause) -> None:
        self._cause, self._until_cut = cause, []
        self._gate.cut(partial(self._cut, cause))

    def _cut(self, cause: Cause, flows: int) -> None:
        """All flows have ended, those of other processes too."""
        with fail_closed(self._gate.judge, "quarantine.cut", self._give_up):
            judge.probe("quarantine.cut")
            self._enter("quarantined", flows=flows, trigger=cause.trigger)
            why = f"{cause.rule}: {cause.reason}"
            self._say(
                f"all egress is closed since {cause.since}, because of {why};"
                f" to open it again: firewall sandbox release {self._name}"
            )
            waiting, self._until_cut = self._until_cut or [], None
            for each in waiting:
                each()

    def _once_cut(self, act: Callable[[], None]) -> None:
        """Do something that must not come before the flows are cut."""
        if self._until_cut is None:
            act()
        else:
            self._until_cut.append(act)

    def _give_up(self, verdict: Verdict) -> None:
        """What could not be closed flow by flow ends with the firewall."""
        logger.error("the quarantine failed; the firewall ends, and with it every flow")
        self._end()

    def _enter(self, state: SandboxState, **facts: Any) -> None:
        assert self._cause is not None
        self._state = state
        self._gate.metrics.state(state)
        known = {"sandbox": self._name, "state": state, "by": self._cause.by, **_told(self._cause)}
        self._gate.judge.note("quarantine", known | facts)

    # Freezing

    def _freeze(self) -> None:
        if self._state == "frozen":
            return
        if self._freezer is None or not self._freezer.knows_any:
            self._say("its processes go on: only those of a sandbox can be stopped")
            return
        self.freezing = True
        self._freezer.freeze(lambda *done: self._gate.loop.post(partial(self._frozen, *done)))

    def _frozen(self, processes: int, trouble: str) -> None:
        if self.freezing:
            state: SandboxState = self._state if trouble else "frozen"
            self._enter(state, processes=processes, trouble=trouble)
            self._say(trouble or f"its {processes} processes are stopped")
        while self._waiting:
            self._waiting.pop()(self.status())

    # Opening

    def _open(self, error: Exception | None, by: str, reply: Reply) -> None:
        cause = self._cause
        if error is not None or cause is None:
            reply({"error": f"{self._name} is not released: {error or 'it is already'}"})
            return

        def shut(verdict: Verdict) -> None:
            self._cause = None
            self._gate.judge.quarantine(cause)
            reply({"error": verdict.reason})

        with fail_closed(self._gate.judge, "quarantine.open", shut):
            judge.probe("quarantine.open")
            self._gate.judge.release()
            self._gate.update()
            self._cause, self._state = None, "running"
            self._gate.metrics.state("running")
            self._gate.heard(lambda: self._thaw(reply))
            self._say(f"egress is open again, released by {by}")

    def _thaw(self, reply: Reply) -> None:
        if self._freezer is None or not self.freezing:
            reply(self.status())
            return

        def thawed(processes: int, trouble: str) -> None:
            answer = {"error": trouble} if trouble else self.status()
            self._gate.loop.post(lambda: reply(answer))

        self.freezing = False
        self._freezer.thaw(thawed)

    def _say(self, text: str) -> None:
        self._tell(f"firewall: {self._name}: {text}")


def _told(cause: Cause) -> dict[str, Any]:
    """What every record of a quarantine says of its cause."""
    told = asdict(cause)
    return {name: told[name] for name in ("rule", "reason", "since")}
