"""A process under an exec gate, without the rest of a sandbox."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from firewall.actor import Actor
from firewall.credentials import KEYS_ALONE
from firewall.deeds import NOTHING, Past
from firewall.judge import Judge
from firewall.policy import Policy
from firewall.redaction import Terms
from firewall.requests import Execute, Request
from firewall.sandbox import linux
from firewall.sandbox.execgate import ExecGate, notify
from firewall.sandbox.threads import Threads
from firewall.verdict import Action, Severity, Verdict
from tests.unit.proxy.stage import Memory

ALLOW = Verdict(Action.ALLOW, "test-allow", "the test allows it")
DENY = Verdict(Action.DENY, "test-deny", "the test denies it", Severity.WARNING, "ask the test")

type Decide = Callable[[Execute], Verdict]


@dataclass
class Asked:
    """A policy of the test, which remembers what it was asked."""

    decide_execute: Decide
    requests: list[Execute] = field(default_factory=list)
    digest: str = "d"
    on_critical: str = "alert"
    remembers: bool = False
    dated: bool = False
    redaction = Terms()
    watched = KEYS_ALONE

    def decide(self, request: Request, actor: Actor, past: Past = NOTHING) -> Verdict:
        assert isinstance(request, Execute)
        self.requests.append(request)
        return self.decide_execute(request)


def deny(*names: str) -> Decide:
    """Denies programs of these names."""
    return lambda request: DENY if Path(request.path).name in names else ALLOW


class Stage:
    """Runs programs in children under one gate each."""

    def __init__(self, decide: Decide = lambda _: ALLOW) -> None:
        self.policy = Asked(decide)
        self.memory = Memory()
        self.judge = Judge(cast("Policy", self.policy), self.memory, self.memory, self.memory)
        self.stderr = ""

    @property
    def ran(self) -> list[str]:
        """The names of the programs that were asked about."""
        return [Path(each.path).name for each in self.policy.requests]

    def rules(self) -> list[str]:
        return [rule for _, rule in self.memory.verdicts()]

    def run(self, act: Callable[[], None]) -> int:
        """Run `act`, which executes something, in a child; its exit status."""
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(writer, 2)
            _live(theirs, act)
        os.close(writer)
        theirs.close()
        with ours:
            _, (listener, *_), _, _ = socket.recv_fds(ours, 1, 1)
        gate = ExecGate(listener, self.judge, "test", 1, 0, Threads())
        try:
            with os.fdopen(reader, errors="replace") as output:
                self.stderr = output.read()
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        finally:
            gate.close()

    def execute(self, *argv: str) -> int:
        return self.run(lambda: os.execv(argv[0], argv))


def _live(theirs: socket.socket, act: Callable[[], None]) -> None:
    try:
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        listener = notify.install()
        socket.send_fds(theirs, [b"x"], [listener])
        os.close(listener)
        act()
    except PermissionError:
        os._exit(126)
    except OSError as error:
        os._exit(error.errno or 1)
    finally:
        os._exit(99)
