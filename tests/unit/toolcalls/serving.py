"""A tool-call service over a judge that says what the test wants."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from firewall.actor import Actor, Process
from firewall.credentials import KEYS_ALONE
from firewall.deeds import Did, Past
from firewall.judge import Judge
from firewall.policy import Policy
from firewall.ports import Desk
from firewall.redaction import Terms
from firewall.requests import Request, ToolCall
from firewall.toolcalls.server import Server, by_credentials, unix_listener
from firewall.toolcalls.service import Service
from firewall.verdict import Action, Severity, Verdict
from tests.unit.proxy.stage import Memory

ACTOR = Actor("run-1", Process(4711, 1.0, "/usr/bin/agent", ("agent",), 1000))
ALLOW = Verdict(Action.ALLOW, "fine", "it is allowed")
DENY = Verdict(Action.DENY, "no-nc", "nc is denied", Severity.WARNING, "use curl")
ASK = Verdict(Action.ASK, "push", "a push needs consent", Severity.WARNING, "ask ann")


@dataclass
class Fixed:
    """A policy that says one thing, and keeps what it was asked."""

    verdict: Verdict
    asked: list[Request] = field(default_factory=list)
    digest: str = "d"
    on_critical: str = "alert"
    remembers: frozenset[Did] = frozenset()
    dated: bool = False
    redaction = Terms()
    watched = KEYS_ALONE
    command_arguments: Mapping[str, str] = field(default_factory=lambda: {"my_tool": "cmd"})

    def decide(self, request: Request, actor: Actor, past: Past) -> Verdict:
        self.asked.append(request)
        return self.verdict


class Court:
    """A service and everything behind it."""

    def __init__(self, verdict: Verdict, desk: Desk | None = None) -> None:
        self.policy = Fixed(verdict)
        self.memory = Memory()
        judge = Judge(cast("Policy", self.policy), self.memory, self.memory, self.memory, desk=desk)
        self.service = Service(judge, lambda work: work())

    @property
    def call(self) -> ToolCall:
        """The only call that was judged."""
        (request,) = self.policy.asked
        assert isinstance(request, ToolCall)
        return request


def actor_of(pid: int) -> Actor:
    return Actor("run-1", Process(pid, 1.0, "/usr/bin/agent", ("agent",), os.getuid()))


@contextmanager
def served(service: Service, path: Path, users: frozenset[int] | None = None) -> Iterator[Server]:
    """The service behind a Unix socket; for every user unless some are named."""
    server = Server(unix_listener(path), service, by_credentials(actor_of, users))
    try:
        yield server
    finally:
        server.close()


@contextmanager
def saying(path: Path, answer: bytes) -> Iterator[socket.socket]:
    """Something at the service's path that says this to whoever connects, and hangs up."""
    import threading

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def speak() -> None:
        try:
            while True:
                with listener.accept()[0] as client:
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(1 << 16):
                        pass
        except OSError:
            pass

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield listener
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
