"""What other verdicts the requests of an audit log would get: under a policy, or under two."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from firewall.deeds import Past, deeds
from firewall.frozen import frozen
from firewall.history import History
from firewall.policy.policy import Policy
from firewall.policy.recorded import Recorded, Unplayable, place, recorded
from firewall.redaction import MARK
from firewall.requests import HttpRequest
from firewall.verdict import Action, Verdict

_ORDER = ("allow deny", "deny allow", "allow ask", "ask deny", "ask allow", "deny ask")

type Judged = Callable[[Recorded], Verdict]


@frozen
class Outcome:
    """What came of a request ("allow", "ask" or "deny") and by which rule.

    `observed` is an allow only because the policy is in `mode: observe`.
    """

    effect: str
    rule: str
    observed: bool = False

    @classmethod
    def of(cls, verdict: Verdict) -> "Outcome":
        """The outcome of a verdict."""
        observed = verdict.allowed and verdict.action is not Action.ALLOW
        return cls("allow" if observed else verdict.action.value, verdict.rule, observed)


@dataclass(slots=True)
class Group:
    """Requests that change alike; `example` is the first of them, with its verdicts. `doubt` says
    why their records may be the reason, and not the policy; "" where they cannot."""

    before: Outcome
    after: Outcome
    example: Recorded
    reason: str
    doubt: str = ""
    count: int = 0


@dataclass(slots=True)
class Skipped:
    """Records that were not decided again for one reason; `example` is the first's chain:seq."""

    example: str
    count: int = 0


@dataclass(slots=True)
class Comparison:
    """The requests of a log under two judges.

    `groups` are the changes, allow to deny first, the largest first among equals; `same` counts the
    requests with the same outcome, `other_rule` those of them that another rule decides.
    """

    groups: list[Group] = field(default_factory=list)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    same: int = 0
    other_rule: int = 0

    @property
    def changed(self) -> int:
        """The requests whose outcome changes."""
        return sum(group.count for group in self.groups)


def replay(policy: Policy, records: Iterable[Mapping[str, Any]]) -> Comparison:
    """The verdicts of a log against those that the policy gives the same requests.

    Records of other kinds than verdicts are passed over. Deeds that rules refer to (`after`) are
    those of what was allowed at the time, in each sandbox.
    """
    return _compare(records, lambda each: each.verdict, Replayer(policy))


def replay_both(old: Policy, new: Policy, records: Iterable[Mapping[str, Any]]) -> Comparison:
    """The verdicts of one policy against those of another, over the requests of a log."""
    return _compare(records, Replayer(old), Replayer(new))


class Replayer:
    """Decides recorded requests in their order, each knowing what was done before it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._histories: dict[tuple[str, str], History] = {}
        self._now = 0.0

    def __call__(self, each: Recorded) -> Verdict:
        """What the policy says of it."""
        wanted = self._policy.remembers
        if not wanted:
            return self._policy.decide(each.request, each.actor, Past(today=each.time[:10]))
        self._now = each.seconds
        whose = (each.boot, each.actor.sandbox)
        history = self._histories.setdefault(whose, History(lambda: self._now))
        past = replace(history.past(wanted), today=each.time[:10])
        verdict = self._policy.decide(each.request, each.actor, past)
        if each.verdict.allowed:
            history.add(deeds(each.request), wanted)
        return verdict

    def doubt(self, each: Recorded) -> str:
        """Why a change may come of how a request was recorded; "" where it cannot."""
        request = each.request
        if MARK in repr(request):
            return "a secret was taken out of what was recorded"
        if not isinstance(request, HttpRequest) or request.method in ("GET", "HEAD"):
            return ""
        unread = request.calls is None and self._policy.reads(request)
        return "a rule judges the body, which was not read then" if unread else ""


def playable(
    records: Iterable[Mapping[str, Any]], skipped: dict[str, Skipped]
) -> Iterator[Recorded]:
    """The verdicts of a log that its policy decided; the others are counted in `skipped`."""
    asked: set[tuple[str, Any]] = set()
    for record in records:
        kind = record.get("kind")
        if kind not in ("verdict", "log.unreadable"):
            continue
        try:
            if kind != "verdict":
                raise Unplayable("the log cannot be read there")
            yield _own(recorded(record), asked)
        except Unplayable as why:
            skipped.setdefault(str(why), Skipped(place(record))).count += 1


def _own(each: Recorded, asked: set[tuple[str, Any]]) -> Recorded:
    """The verdict itself where it is the policy's: not the answer to what it left to a person."""
    question = (each.actor.sandbox, each.request)
    if each.verdict.action is Action.ASK:
        asked.add(question)
    elif question in asked:
        asked.remove(question)
        raise Unplayable("a person was asked, and this is the answer")
    if who := each.decided_by():
        raise Unplayable(who)
    return each


def _compare(records: Iterable[Mapping[str, Any]], before: Judged, after: Replayer) -> Comparison:
    found = Comparison()
    groups: dict[tuple[Outcome, Outcome, str], Group] = {}
    for each in playable(records, found.skipped):
        verdict = after(each)
        was, becomes = Outcome.of(before(each)), Outcome.of(verdict)
        if was.effect == becomes.effect:
            found.same += 1
            found.other_rule += was.rule != becomes.rule
            continue
        new = Group(was, becomes, each, verdict.reason, after.doubt(each))
        groups.setdefault((was, becomes, new.doubt), new).count += 1
    found.groups = sorted(groups.values(), key=_rank)
    return found


def _rank(group: Group) -> tuple[int, int, str, str]:
    order = _ORDER.index(f"{group.before.effect} {group.after.effect}")
    return order, -group.count, group.before.rule, group.after.rule
