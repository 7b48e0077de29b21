"""A judge in a process that hangs off the gate: what it is made from, and what it tells the gate.

It has the gate's policy and writes a chain of records of its own. What it allows and rules may
refer to, and what it sees that closes everything, is told to the gate.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from firewall import judge as door
from firewall.audit import AuditLog, keys
from firewall.causes import Cause
from firewall.judge import Judge, fail_closed
from firewall.policy import Policy
from firewall.ports import Desk, Gpu, Witness
from firewall.proxy import handover
from firewall.proxy.handover import Setup
from firewall.proxy.reports import shortened
from firewall.quota import Quota
from firewall.vault import Vault
from firewall.verdict import Verdict

logger = logging.getLogger(__name__)

type Send = Callable[[str, dict[str, Any]], None]
type Post = Callable[[Callable[[], None]], None]


class Deputy:
    """Holds the judge of a setup and its log, and renews it by each further one.

    `log` writes the chain that the setup names. `send` takes what the gate must know, on the thread
    of the verdict; `post` runs the answers of a person on the thread that owns the judge. Raises
    what makes a setup unusable.
    """

    def __init__(
        self,
        setup: Setup,
        log: AuditLog,
        gpu: Gpu,
        witness: Witness,
        quota: Quota,
        send: Send,
        post: Post,
    ) -> None:
        self.setup = setup
        self._send = send
        policy, vault = Policy.parse(setup.policy), Vault.parse(setup.vault)
        marks = keys.redaction_key(Path(setup.authority))
        self.log = log
        judge = Judge(policy, log, gpu, witness, setup.release, redaction_key=marks)
        judge.vault, judge.quota = vault, quota
        judge.desk = _desk(setup, judge, post)
        judge.quarantined = self._imposed = setup.quarantined
        judge.alarm = self.alarmed
        judge.on_deeds = lambda done: send("deeds", handover.encode_deeds(done))
        judge.remember(setup.deeds)
        self.judge = judge

    def renew(self, setup: Setup) -> None:
        """Judge by the gate's new policy. Raises where it cannot be read: nothing may go on by the
        old one."""
        judge = self.judge
        judge.policy, judge.vault = Policy.parse(setup.policy), Vault.parse(setup.vault)
        judge.remember(setup.deeds)
        # A quarantine that began here ends only once the gate knows of it.
        if judge.quarantined is self._imposed:
            self.impose(setup.quarantined)

    def impose(self, shut: Verdict | None) -> None:
        """Answer everything with this deny of the gate's; with None judge again."""
        self.judge.quarantined = self._imposed = shut

    def alarmed(self, cause: Cause) -> None:
        """Let the gate close everything."""

        def tell(verdict: Verdict) -> None:
            self._send("quarantine", asdict(Cause(verdict.rule, verdict.reason)))

        with fail_closed(self.judge, "deputy.quarantine", tell):
            door.probe("deputy.quarantine")
            self._send("quarantine", shortened(asdict(cause)))


def _desk(setup: Setup, judge: Judge, post: Post) -> Desk | None:
    """Where this process asks a person: of a room that this one does not know."""
    if not setup.desk:
        return None
    module, _, function = setup.desk.partition(":")
    make: Callable[..., Desk] = getattr(import_module(module), function)
    return make(setup.approvals, judge, post)
