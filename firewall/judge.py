"""The only door: decide, record, count, answer.

Whoever enforces anything asks here and does what the verdict says. An allow is answered only when
its record is durable; a deny is answered at once and its record follows with the GPU's state, so
that evidence never delays a block. In quarantine the door is shut: every answer is the same deny,
and the policy is not asked.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from firewall.actor import Actor
from firewall.causes import SHUT, Alarm, Cause, shut_by
from firewall.charging import Meter, byte_dues, dues, exceeded
from firewall.deeds import Deed, deeds
from firewall.events import Fault, redacted_event_of, suspected
from firewall.history import History
from firewall.policy import Policy
from firewall.ports import Answer, Desk, Done, Gpu, Log, Witness
from firewall.quota import Excess, Ledger, Quota
from firewall.recording import Recorder
from firewall.redaction import Redactor, redactor
from firewall.requests import Execute, HttpRequest, Request, ToolCall
from firewall.vault import Vault
from firewall.verdict import Action, Severity, Verdict

logger = logging.getLogger(__name__)


INSIDE = (Execute, ToolCall)
"""What a quarantine, which closes the ways out, leaves to the policy: it stays inside."""
NOBODY = "nobody can be asked here"


class Judge:
    """Decides every request against one policy and writes one record for each.

    `release` is the command that ends a quarantine. `alarm` is called with the cause of each one,
    on the thread of the verdict, once nothing is allowed any more: whoever owns flows cuts them
    then. `quarantined` is the deny that answers everything meanwhile, or None. `desk` is where a
    person is asked; without one, what would be asked is denied. `on_deeds` is called, on the thread
    of the verdict, with what an allowed request does and the policy's rules may refer to.
    `redaction_key` makes the marks of secrets comparable with those of other judges. `vault` holds
    the policy's secrets; whoever replaces one replaces both. `quota` is where limits are counted.
    """

    def __init__(
        self,
        policy: Policy,
        log: Log,
        gpu: Gpu,
        witness: Witness,
        release: str = "start this firewall anew",
        desk: Desk | None = None,
        redaction_key: bytes | None = None,
    ) -> None:
        self.policy = policy
        self.vault = Vault(watched=policy.watched)
        self.desk = desk
        self.quarantined: Verdict | None = None
        self.alarm: Alarm = _nobody
        self.on_deeds: Callable[[tuple[Deed, ...]], None] = _nobody
        self.quota: Quota = Ledger()
        self._history = History()
        self._redaction_key = redaction_key or secrets.token_bytes(32)
        self._release = release
        self._unwritten: Exception | None = None
        self._records = Recorder(log, gpu, lambda: self.redactor)
        self._witness = witness
        gpu.follow(lambda facts: self.note("gpu-after", facts))

    def preview(self, request: Request, actor: Actor) -> Verdict:
        """What would be decided now, without a record: to explain, or to ask before resolving."""
        if (shut := self.quarantined) is not None and not isinstance(request, INSIDE):
            return shut
        try:
            policy = self.policy  # Another thread may replace it meanwhile.
            past = self._history.past(policy.remembers, dated=policy.dated)
            request = self.vault.seen(request)
            verdict = self._clean(self.vault.honour(policy.decide(request, actor, past), policy))
            if verdict.action is Action.ASK and self.desk is not None:
                return self.desk.standing(request, actor, verdict)
            return verdict
        except Exception as error:
            logger.exception("the policy failed to decide")
            return self._failure("policy", error)

    def needs_body(self, request: HttpRequest, actor: Actor) -> bool:
        """Whether what the body asks may make an allow of a request that is none without it."""
        return self.policy.reads(request) and not self.preview(request, actor).allowed

    def decide(
        self,
        request: Request,
        actor: Actor,
        flow: Mapping[str, Any],
        answer: Answer,
        *,
        hold: bool = True,
        prompt: bool = False,
        counted: bool = False,
    ) -> None:
        """Judge a request and call `answer` once, perhaps on another thread.

        `flow` is what is known about the flow besides the request: names, addresses, bytes. What
        the policy leaves to a person is held until one has answered; without `hold` the answer is
        an ask, for callers whose own user is asked. `prompt` answers an allow once its record is
        in the queue: for what moves no byte itself, and whose every later byte is recorded behind
        it in the same chain. After a record could not be written it waits all the same. `counted`
        says that limits have counted it: a connection that is tried at another address. Any thread
        may call this; the alarm, the desk and the witness take it as it comes.
        """
        started = perf_counter()
        request = self.vault.seen(request)
        verdict = self.preview(request, actor)
        seconds = perf_counter() - started

        judged = partial(
            self._judged, request, actor, seconds=seconds, answer=answer, hold=hold, prompt=prompt
        )
        if counted or not (due := dues(request, actor, verdict)):
            judged(flow, verdict)
            return

        def charged(told: Excess | Exception | None) -> None:
            with fail_closed(self, "judge.charged", answer, request=request, actor=actor):
                probe("judge.charged")
                judged(*self._charged(flow, verdict, told))

        with fail_closed(self, "judge.quota", answer, request=request, actor=actor):
            probe("judge.quota")
            self.quota.charge(due, charged, anyway=self.policy.mode == "observe")

    def _judged(
        self,
        request: Request,
        actor: Actor,
        flow: Mapping[str, Any],
        verdict: Verdict,
        *,
        seconds: float,
        answer: Answer,
        hold: bool,
        prompt: bool,
    ) -> None:
        """Record, count and answer what was decided."""
        event = self._event(request, verdict, actor, flow)
        if self._is_grave(verdict):
            freeze = self.policy.on_critical == "freeze"
            self.quarantine(Cause(verdict.rule, verdict.reason, freeze, trigger=event))
        self._witness.verdict(event, seconds)
        if verdict.action is Action.ASK and verdict.enforced and hold:
            self._records.append(event)
            self._hold(request, actor, flow, verdict, answer)
        else:
            self._learn(request, verdict)
            self._settle(event, verdict, actor, answer, prompt=prompt)

    def _charged(
        self, flow: Mapping[str, Any], verdict: Verdict, told: Excess | Exception | None
    ) -> tuple[Mapping[str, Any], Verdict]:
        """What is known of a flow, and the verdict, once it was counted what it costs."""
        if told is None:
            return flow, verdict
        if isinstance(told, Exception):
            return flow, self._failure("judge.quota", told)
        denied = exceeded(verdict, told, enforced=self.policy.mode == "enforce")
        return {**flow, "limit": told.facts()}, self._clean(denied)

    def meter(
        self, request: Request, actor: Actor, flow: Mapping[str, Any], verdict: Verdict
    ) -> Meter | None:
        """What counts the bytes of an allowed flow; None where no limit is about bytes."""
        due = byte_dues(request, actor, verdict)
        if not due:
            return None

        def reached(excess: Excess) -> Verdict:
            facts, denied = self._charged(flow, verdict, excess)
            event = self._event(request, denied, actor, facts)
            self._witness.verdict(event, 0.0)
            self._records.with_gpu(event, actor)
            return denied

        failed = partial(self.fault, "judge.meter", request=request, actor=actor)
        return Meter(self.quota, due, self.policy.mode == "enforce", reached, failed)

    def _hold(
        self,
        request: Request,
        actor: Actor,
        flow: Mapping[str, Any],
        verdict: Verdict,
        answer: Answer,
    ) -> None:
        """Wait for a person; the answer is a verdict of its own, with its own record."""

        def answered(final: Verdict) -> None:
            final = self.standing(final)
            event = self._event(request, final, actor, flow)
            self._witness.verdict(event, 0.0)
            self._learn(request, final)
            self._settle(event, final, actor, answer)

        if self.desk is None:
            answered(replace(verdict, action=Action.DENY, reason=f"{verdict.reason}; {NOBODY}"))
            return
        with fail_closed(self, "judge.desk", answer, request=request, actor=actor):
            probe("judge.desk")
            self.desk.ask(request, actor, verdict, answered)

    def _learn(self, request: Request, verdict: Verdict) -> None:
        """Remember what an allowed request does, where a rule may refer to it."""
        wanted = self.policy.remembers
        if wanted and verdict.allowed and (kept := self._history.add(deeds(request), wanted)):
            self.on_deeds(kept)

    def done(self) -> tuple[Deed, ...]:
        """The deeds that are remembered, for another process's judge."""
        return self._history.all()

    def remember(self, done: Iterable[Deed]) -> None:
        """Take in deeds that another process's judge allowed."""
        self._history.add(done, self.policy.remembers)

    async def ask(
        self, request: Request, actor: Actor, flow: Mapping[str, Any], *, counted: bool = False
    ) -> Verdict:
        """`decide` for asyncio."""
        import asyncio  # 30 ms that only the depth process needs to spend

        loop = asyncio.get_running_loop()
        future: asyncio.Future[Verdict] = loop.create_future()

        def settle(verdict: Verdict) -> None:
            if not future.done():
                future.set_result(verdict)

        def answer(verdict: Verdict) -> None:
            loop.call_soon_threadsafe(settle, verdict)

        self.decide(request, actor, flow, answer, counted=counted)
        return self.standing(await future)

    def standing(self, verdict: Verdict) -> Verdict:
        """A verdict as it stands now: what was allowed before a quarantine is not any more."""
        shut = self.quarantined
        return shut if shut is not None and verdict.allowed else verdict

    def quarantine(self, cause: Cause) -> None:
        """Deny everything from now on, then raise the alarm; shut as well where this fails."""
        if self.quarantined is None:
            self.quarantined = SHUT
            with fail_closed(self, "judge.quarantine", _nobody):
                probe("judge.quarantine")
                self.quarantined = shut_by(cause, self._release)
        self.alarm(cause)

    def release(self) -> None:
        """Judge by the policy again."""
        self.quarantined = None

    def fault(self, point: str, error: Exception, request: Request | None, actor: Actor) -> Verdict:
        """Turn an enforcement point's failure into a recorded deny."""
        logger.error("%s failed; the request is denied", point, exc_info=error)
        verdict = self._failure(point, error)
        try:
            asked = request if request is not None else Fault(point, repr(error))
            event = self._event(asked, verdict, actor, {"fault": repr(error)})
            self._records.with_gpu(event, actor)
            self._witness.verdict(event, 0.0)
        except Exception:
            logger.exception("the failure of %s could not be recorded", point)
        return verdict

    def note(self, kind: str, facts: Mapping[str, Any], done: Done | None = None) -> None:
        """Record something that is no verdict: a flow's end, a new policy, a process that died.

        It shares the sync of the next records where nobody waits for it.
        """
        urgent = done is not None
        self._records.append(self.redactor.value({"kind": kind, **facts}), done, urgent=urgent)

    @property
    def redactor(self) -> Redactor:
        """What takes secrets out of whatever is recorded, shown or told of this judge's work."""
        return redactor(self.vault.redaction(self.policy.redaction), self._redaction_key)

    def _event(
        self,
        request: Request | Fault,
        verdict: Verdict,
        actor: Actor,
        flow: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What is recorded, counted and told of a verdict, without its secrets."""
        return redacted_event_of(request, verdict, actor, flow, self.redactor)

    def _clean(self, verdict: Verdict) -> Verdict:
        """A verdict that names no secret of the request: agents and terminals are told it."""
        text = self.redactor.text
        reason, remedy = text(verdict.reason), text(verdict.remedy)
        if reason == verdict.reason and remedy == verdict.remedy:
            return verdict
        return replace(verdict, reason=reason, remedy=remedy)

    def _is_grave(self, verdict: Verdict) -> bool:
        """Whether the policy asks for a quarantine: something critical was blocked."""
        blocked = not verdict.allowed and verdict.severity is Severity.CRITICAL
        return blocked and self.policy.on_critical in ("quarantine", "freeze")

    def _settle(
        self,
        event: dict[str, Any],
        verdict: Verdict,
        actor: Actor,
        answer: Answer,
        *,
        prompt: bool = False,
    ) -> None:
        def durable(error: Exception | None) -> None:
            self._unwritten = error
            answer(self._unless(error, verdict))

        def noted(error: Exception | None) -> None:
            self._unwritten = error

        if verdict.action is Action.ALLOW and not suspected(event):
            if prompt and self._unwritten is None:
                self._records.append(event, noted, urgent=False)
                answer(self._unless(self._unwritten, verdict))
            else:
                self._records.append(event, durable)
        elif verdict.allowed:
            self._records.with_gpu(event, actor, durable)
        else:
            answer(verdict)
            self._records.with_gpu(event, actor)

    def _unless(self, error: Exception | None, verdict: Verdict) -> Verdict:
        """No allow without a record."""
        return verdict if error is None else self._failure("audit", error)

    def _failure(self, point: str, error: Exception) -> Verdict:
        return Verdict(
            action=Action.DENY,
            rule=f"fail-closed.{point}",
            reason=f"the firewall could not judge this: {self._told(error)}",
            severity=Severity.CRITICAL,
            remedy="see the firewall's own log; nothing passes until it is mended",
            policy_digest=self.policy.digest,
        )

    def _told(self, error: Exception) -> str:
        """What went wrong, without secrets. What keeps them out may be what has failed."""
        try:
            return self.redactor.text(str(error))
        except Exception:
            return type(error).__name__


def _nobody(_: object) -> None:
    """Nobody has to be told: no other process, no flows to cut, a door that was shut before."""


def probe(point: str) -> None:
    """Does nothing. Every enforcement point calls it first; tests put a fault here."""


class fail_closed:  # noqa: N801
    """Run an enforcement point; whatever it raises becomes a recorded deny handed to `refuse`.

    The body's first statement is `probe(point)`, so that a test can raise inside each point.
    """

    __slots__ = ("_actor", "_judge", "_point", "_refuse", "_request")

    def __init__(
        self, judge: Judge, point: str, refuse: Answer, *,
        request: Request | None = None, actor: Actor | None = None,
    ) -> None:  # fmt: skip
        self._judge, self._point, self._refuse = judge, point, refuse
        self._request, self._actor = request, actor

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        asked = self._request, self._actor or Actor("unknown")
        self._refuse(self._judge.fault(self._point, error, *asked))
        return True
