"""One agent's SSH connection as the gateway knows it, and what the judge says of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firewall.commands import inspect_argv
from firewall.judge import Judge, fail_closed, probe
from firewall.policy.ssh import SshTerms
from firewall.protocols.scp import parse_command
from firewall.proxy.handover import Handover, Traffic
from firewall.proxy.refusal import sentence
from firewall.requests import Connect, Direction, Finding, Message, SshChannel, SshKind
from firewall.verdict import Action, Severity, Verdict
from firewall.words import simple_words

UNJUDGED = Verdict(
    action=Action.DENY,
    rule="fail-closed.ssh",
    reason="nothing allowed this",
    severity=Severity.CRITICAL,
)
_REVERSE: frozenset[SshKind] = frozenset({"remote-forward", "unix-remote-forward"})


class BlockedError(Exception):
    """What an agent asked for is refused; the text is what it is told."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(sentence(verdict))
        self.verdict = verdict


@dataclass
class Outcome:
    """What an enforcement point answers: a deny, until it has judged."""

    verdict: Verdict = UNJUDGED

    def settle(self, verdict: Verdict) -> None:
        self.verdict = verdict


@dataclass
class Visit:
    """`traffic` counts what the channels carry, `terms` are those of `rule`, which allowed the
    login, `known` is what was learnt about both sides' programs, for the records."""

    judge: Judge
    given: Handover
    traffic: Traffic
    user: str = ""
    terms: SshTerms = field(default_factory=SshTerms)
    rule: str = ""
    known: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        connect = Connect(self.host, self.port, protocol="ssh")
        given = self.given
        self._meter = self.judge.meter(connect, given.actor, self.facts(), given.verdict)
        self._began = self._active = self.loop.time()

    @property
    def host(self) -> str:
        return self.given.host

    @property
    def port(self) -> int:
        return self.given.port

    def facts(self) -> Mapping[str, Any]:
        """What goes into the records besides the request."""
        facts = {"flow": self.given.flow, "client": list(self.given.client)}
        return {**facts, "address": self.given.address, **self.known}

    async def ask(self, kind: SshKind, detail: str = "", *findings: Finding) -> Verdict:
        """Judge one thing that the agent asks for; a failure to judge is a deny."""
        outcome = Outcome()
        with fail_closed(self.judge, "ssh.ask", outcome.settle, actor=self.given.actor):
            probe("ssh.ask")
            request = self._request(kind, detail, findings)
            outcome.settle(await self.judge.ask(request, self.given.actor, self.facts()))
        return outcome.verdict

    def _request(self, kind: SshKind, detail: str, findings: tuple[Finding, ...]) -> SshChannel:
        words = simple_words(detail) if kind == "exec" else None
        if words:
            findings += inspect_argv(words) + self._unfollowed(words)
        if kind in _REVERSE:
            evidence = f"a {kind} of {detail} was asked for"
            findings += (Finding("ssh-reverse-forwarding", kind, evidence, "SSH connection"),)
        return SshChannel(self.host, self.port, self.user, kind, detail, findings)

    def _unfollowed(self, words: tuple[str, ...]) -> tuple[Finding, ...]:
        """Where files are judged one by one, an scp that cannot be followed is no scp to allow."""
        if words[0] != "scp" or not self.terms.files or parse_command(words) is not None:
            return ()
        evidence = "its options or paths do not say for sure which files it is about"
        return (Finding("protocol-mismatch", "scp", evidence, "command"),)

    async def ask_about(
        self, carrier: str, direction: Direction, findings: tuple[Finding, ...]
    ) -> None:
        """Judge what a recogniser found in a channel's bytes. Raises BlockedError for a deny."""
        outcome = Outcome()
        with fail_closed(self.judge, "ssh.message", outcome.settle, actor=self.given.actor):
            probe("ssh.message")
            message = Message(self.host, self.port, carrier, direction, findings)
            outcome.settle(await self.judge.ask(message, self.given.actor, self.facts()))
        if not outcome.verdict.allowed:
            raise BlockedError(outcome.verdict)

    def follow(self, verdict: Verdict) -> None:
        """Take the terms of the rule that allowed the login; the usual ones where none did."""
        self.rule = verdict.rule
        self.terms = self.judge.policy.ssh_terms(verdict.rule) or SshTerms()

    async def spend(self, direction: Direction, size: int) -> None:
        """Count bytes that are about to pass. Raises BlockedError where they are too many."""
        self._active = self.loop.time()
        if self._meter and (denied := await self._meter.spent(direction, size)):
            raise BlockedError(denied)
        total = getattr(self.traffic, direction) + size
        setattr(self.traffic, direction, total)
        sent, received = self.terms.limits.bytes
        limit = sent if direction == "sent" else received
        if limit is not None and total > limit:
            verdict = await self.ask("limit", f"more than {limit} bytes {direction}")
            if not verdict.allowed:
                raise BlockedError(verdict)

    def overdue(self) -> str | None:
        """What the rule's limits of time do not allow any more; None while they do."""
        idle, total = self.terms.limits.seconds
        now = self.loop.time()
        if total is not None and now - self._began > total:
            return f"a connection of more than {total} seconds"
        if now - self._active > idle:
            return f"a connection idle for more than {idle} seconds"
        return None

    def note(self, kind: str, **facts: Any) -> None:
        """Record how something ended."""
        self.judge.note(kind, {**self.facts(), "user": self.user, **facts})
