"""The desk: what the policy leaves to a person waits here for one.

Each question is a file (spool.py) that `firewall approvals` lists and answers. A question that
nobody answers in time is denied, and so are all that wait when the firewall ends. An approval is
for once, or for this session (grants.py); once approved, a call's own programs may start for some
minutes under the same rule, so that nobody is asked twice about one thing.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from firewall.actor import Actor
from firewall.audit import describe
from firewall.frozen import frozen
from firewall.judge import Judge
from firewall.places import approvals_directory
from firewall.ports import Answer as Reply
from firewall.requests import Request
from firewall.toolcalls.grants import Grants
from firewall.toolcalls.spool import Answer, Owner, Question, Spool
from firewall.verdict import Action, Severity, Verdict

logger = logging.getLogger(__name__)

SECONDS = 300.0
"""How long a person may take."""
POLL_SECONDS = 0.2
WAITING = 256
"""Questions of one process that may wait: nobody answers more, and an agent chooses how many."""
WHOLE_LIMIT = 64 << 10
"""Characters of a request that is kept whole, as JSON."""
TEXT_LIMIT = 1000
ITEMS_LIMIT = 16
"""Of every text and list of one that is not."""
DERIVED = {"commands", "opaque", "findings"}
"""What is read from the rest of a request, and read anew where it is needed."""

type Say = Callable[[str], None]
type Post = Callable[[Callable[[], None]], None]


@frozen
class _Waiting:
    """A question and whom to tell. `deadline` is on the monotonic clock; `caller` is who asked, of
    whom no start is known where there is no such process."""

    question: Question
    request: Request
    actor: Actor
    verdict: Verdict
    answer: Reply
    deadline: float
    caller: Owner


class Approvals:
    """Implements `ports.Desk` over a folder. Raises OSError where the folder cannot be used.

    `door` is the judge whose desk this is, which records what a person decided. `say` tells the
    terminal that something waits, `post` runs an answer on the thread that owns the judge. Grants
    end with the process `owner`. A person may take `seconds`, or SECONDS. `ruled` is called once
    the policy has a new rule, before what it allows is answered.
    """

    def __init__(
        self,
        folder: Path,
        door: Judge,
        say: Say = logger.warning,
        post: Post | None = None,
        owner: int | None = None,
        seconds: float | None = None,
        ruled: Callable[[], None] | None = None,
    ) -> None:
        self._spool = Spool(folder)
        self._spool.prepare()
        self._spool.questions()
        self._own = Owner.of(os.getpid())
        self._grants = Grants(folder / "grants", Owner.of(owner or os.getpid()))
        self._grants.prepare()
        self._judge, self._say = door, say
        self._post: Post = post or _at_once
        self._seconds = SECONDS if seconds is None else seconds
        self._ruled = ruled
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="approvals", daemon=True)

    def standing(self, request: Request, actor: Actor, verdict: Verdict) -> Verdict:
        """An allow where a person has granted the like of it."""
        found = self._grants.find(request, actor, verdict.rule)
        if found is None:
            return verdict
        by, session = found
        if session:
            self._cover(request, actor, verdict.rule, by)
        how = "for this session" if session else "with the call that runs it"
        return _allowed(verdict, by, how)

    def ask(self, request: Request, actor: Actor, verdict: Verdict, answer: Reply) -> None:
        """Put the question; `answer` is called when a person has decided, or time is up."""
        with self._lock:
            why = self._why_not()
            if not why:
                question = self._put(request, actor, verdict)
                deadline = time.monotonic() + self._seconds
                caller = Owner.of(actor.process.pid if actor.process else 0)
                waiting = _Waiting(question, request, actor, verdict, answer, deadline, caller)
                self._waiting[question.id] = waiting
                if not self._thread.is_alive():
                    self._thread.start()
        if why:
            answer(_denied(verdict, why))
            return
        self._say(
            f"firewall: {question.id} waits for a person: {verdict.reason}; firewall approvals"
            f" allow {question.id} (or deny) within {self._seconds:.0f} s"
        )

    def close(self) -> None:
        """End the thread, deny what waits, and end the grants that were made here."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for waiting in list(self._waiting.values()):
            self._settle(waiting, _denied(waiting.verdict, "the firewall ends"), _at_once)
        self._grants.clear(self._own)

    def _why_not(self) -> str:
        if self._over.is_set():
            return "the firewall ends"
        if len(self._waiting) >= WAITING:
            return f"{WAITING} questions wait already, and no more are taken"
        return ""

    def _put(self, request: Request, actor: Actor, verdict: Verdict) -> Question:
        described = {"type": type(request).__name__, **describe(request)}
        body = {key: value for key, value in described.items() if key not in DERIVED}
        whole = len(json.dumps(body)) <= WHOLE_LIMIT
        now, clean = time.time(), self._judge.redactor.value
        question = Question(
            id=self._spool.new_id(),
            rule=verdict.rule,
            reason=verdict.reason,
            sources=[str(each.absolute()) for each in self._judge.policy.sources],
            sandbox=actor.sandbox,
            process=_shortened(clean(describe(actor.process))) if actor.process else {},
            request=clean(body) if whole else _shortened(clean(body)),
            whole=whole,
            asked=now,
            until=now + self._seconds,
            owner=self._own,
        )
        self._spool.put(question)
        return question

    def _work(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            for waiting in list(self._waiting.values()):
                try:
                    self._look(waiting)
                except Exception:
                    logger.exception("an answer could not be taken; the request is denied")
                    self._settle(waiting, _denied(waiting.verdict, "its answer was not readable"))

    def _look(self, waiting: _Waiting) -> None:
        answer = self._spool.answer_to(waiting.question.id)
        if answer is not None:
            self._settle(waiting, self._decided(waiting, answer))
        elif waiting.caller.started and not waiting.caller.lives:
            self._give_up(waiting, "who asked has ended", "its caller ended")
        elif time.monotonic() >= waiting.deadline:
            why = f"nobody approved it within {self._seconds:.0f} s"
            self._give_up(waiting, why, "time is up")

    def _give_up(self, waiting: _Waiting, why: str, how: str) -> None:
        self._record(waiting, {"action": "deny", "how": how, "by": "nobody"})
        self._settle(waiting, _denied(waiting.verdict, why))

    def _decided(self, waiting: _Waiting, answer: Answer) -> Verdict:
        by = f"{answer.by} (uid {answer.uid})"
        action = "allow" if answer.allow else "deny"
        facts = {"action": action, "how": answer.how, "by": answer.by, "uid": answer.uid}
        self._record(waiting, {**facts, "reason": answer.reason})
        if not answer.allow:
            said = f": {answer.reason}" if answer.reason else ""
            return _denied(waiting.verdict, f"denied by {by}{said}")
        if answer.how == "session":
            self._grants.add(waiting.request, waiting.actor, waiting.verdict.rule, by)
        elif answer.how == "rule" and self._ruled is not None:
            self._ruled()
        self._cover(waiting.request, waiting.actor, waiting.verdict.rule, by)
        return _allowed(waiting.verdict, by, _HOW[answer.how])

    def _cover(self, request: Request, actor: Actor, rule: str, by: str) -> None:
        try:
            self._grants.cover(request, actor, rule, by)
        except OSError:
            logger.exception("the programs of an approved call will be asked about again")

    def _record(self, waiting: _Waiting, facts: Mapping[str, Any]) -> None:
        question = waiting.question
        common = {"sandbox": question.sandbox, "id": question.id, "rule": question.rule}
        seconds = round(time.time() - question.asked, 1)
        self._judge.note(
            "approval",
            {**common, **facts, "seconds": seconds, "request": _shortened(question.request)},
        )

    def _settle(self, waiting: _Waiting, verdict: Verdict, post: Post | None = None) -> None:
        """Answer, once, and forget the question."""
        with self._lock:
            if self._waiting.pop(waiting.question.id, None) is None:
                return
        try:
            self._spool.remove(waiting.question.id)
        except OSError:
            logger.exception("a question could not be cleared")
        (post or self._post)(lambda: waiting.answer(verdict))


def desk(folder: str, door: Judge, post: Post) -> Approvals:
    """The desk of a process whose parent is the firewall itself."""
    return Approvals(Path(folder), door, post=post, owner=os.getppid())


def own_desk(
    judge: Judge,
    ruled: Callable[[], None],
    say: Say = logger.warning,
    seconds: float | None = None,
) -> Approvals:
    """The desk of a judge that no firewall stands around; `ruled` takes in a new rule."""
    return Approvals(approvals_directory(), judge, say, seconds=seconds, ruled=ruled)


_HOW = {"once": "once", "session": "for this session", "rule": "by a new rule"}


def _allowed(verdict: Verdict, by: str, how: str) -> Verdict:
    reason = f"{verdict.reason}; approved by {by} {how}"
    return replace(verdict, action=Action.ALLOW, reason=reason, severity=Severity.INFO, remedy="")


def _denied(verdict: Verdict, why: str) -> Verdict:
    return replace(verdict, action=Action.DENY, reason=f"{verdict.reason}; {why}")


def _at_once(work: Callable[[], None]) -> None:
    work()


def _shortened(value: Any) -> Any:
    match value:
        case str():
            return value[:TEXT_LIMIT]
        case Mapping():
            return {key: _shortened(each) for key, each in value.items()}
        case list() | tuple():
            return [_shortened(each) for each in value[:ITEMS_LIMIT]]
    return value
