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
from firewall.toolcalls.calls import Call, request_of
from firewall.toolcalls.client import Answer
from firewall.toolcalls.mcp.checker import answered
from firewall.verdict import Verdict

CHAINS = 1024


class LocalJudge:
    """Judges by a policy (a file, or a preset's name) and records below `log`.

    Raises PolicyError or AuditError where there is no policy or no log to write.
    """

    def __init__(self, policy: str, log: str) -> None:
        loaded = load_policy(policy)
        self._gpu = GpuMonitor()
        self._log = _chain(Path(log))
        self._actor = Actor(f"python-{os.getpid()}")
        self._judge = Judge(loaded, self._log, self._gpu, _Silent())
        self._gpu.start()

    def check(self, call: Call, timeout: float) -> Answer:
        """The verdict; a deny where there is none in time."""
        future: Future[Verdict] = Future()

        def settle(verdict: Verdict) -> None:
            if not future.done():
                future.set_result(verdict)

        with fail_closed(self._judge, "python.check", settle, actor=self._actor):
            door.probe("python.check")
            request = request_of(call, self._judge.policy.command_arguments)
            self._judge.decide(request, self._actor, {}, settle)
            future.result(timeout)
        return answered(self._judge.standing(future.result(timeout)))

    def close(self) -> None:
        """Stop the threads; every record is written already."""
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
