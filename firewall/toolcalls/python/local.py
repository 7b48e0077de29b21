"""A judge of this process, with an audit log of its own, for programs that ask no service."""

import os
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from firewall import judge as door
from firewall.actor import Actor
from firewall.audit import AuditBusy, AuditLog
from firewall.gpu import GpuMonitor
from firewall.judge import Judge, fail_closed
from firewall.policy import load_policy
from firewall.toolcalls.approvals import own_desk
from firewall.toolcalls.calls import Call, request_of
from firewall.toolcalls.client import Answer
from firewall.toolcalls.mcp.checker import answered
from firewall.toolcalls.renewal import Renewal
from firewall.verdict import Verdict

CHAINS = 1024
GRACE_SECONDS = 5.0
"""For the answer's record, once a person has decided or the time for that is up."""


class LocalJudge:
    """Judges by a policy (a file, or a preset's name), in a run with these labels, and records
    below `log`.

    A person has `timeout` seconds to answer what the policy asks about. Raises PolicyError,
    AuditError or OSError where there is no policy, no log to write or no place for questions.
    """

    def __init__(self, policy: str, log: str, labels: Mapping[str, str], timeout: float) -> None:
        loaded = load_policy(policy, labels)
        self._gpu = GpuMonitor()
        self._log = _chain(Path(log))
        self._actor = Actor(f"python-{os.getpid()}")
        self._judge = Judge(loaded, self._log, self._gpu, _Silent())
        self._renewal = Renewal(self._judge)
        self._judge.desk = self._desk = own_desk(self._judge, self._renewal.now, seconds=timeout)
        self._timeout = timeout + GRACE_SECONDS
        self._gpu.start()

    def check(self, call: Call) -> Answer:
        """The verdict; a deny where there is none in time. Any thread may call this."""
        future: Future[Verdict] = Future()

        def settle(verdict: Verdict) -> None:
            if not future.done():
                future.set_result(verdict)

        with fail_closed(self._judge, "python.check", settle, actor=self._actor):
            door.probe("python.check")
            request = request_of(call, self._judge.policy.command_arguments)
            self._judge.decide(request, self._actor, {}, settle)
            future.result(self._timeout)
        return answered(self._judge.standing(future.result()))

    def close(self) -> None:
        """Deny what waits for a person, and stop the threads; every record is written already."""
        self._desk.close()
        self._renewal.close()
        self._gpu.stop()
        self._log.close()


class _Silent:
    """A witness that neither counts nor shows."""

    def verdict(self, event: Mapping[str, Any], seconds: float) -> None: ...


def _chain(folder: Path) -> AuditLog:
    """The first of the chains that no other process writes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(CHAINS):
        try:
            return AuditLog(folder, f"python-{number}")
        except AuditBusy:
            continue
    raise AuditBusy(f"{folder}: {CHAINS} programs write here already")
