"""What rules about programs and tools come to: the strictest one, and its words for people."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Several
from typing import Any, NamedTuple, Protocol

from firewall.deeds import NOTHING, Deed, Past
from firewall.policy.acts import Choice
from firewall.policy.after import Sequence, told
from firewall.policy.globs import Glob, is_plain
from firewall.policy.holding import holding, owned
from firewall.policy.resolved import ResolvedProgramRule, ResolvedToolRule
from firewall.verdict import Action

type Document = ResolvedProgramRule | ResolvedToolRule

STRICTNESS: dict[Action, int] = {Action.ALLOW: 0, Action.ASK: 1, Action.DENY: 2}
DOES: dict[str, str] = {"allow": "allows", "ask": "asks a person about", "deny": "denies"}


class Ruling(NamedTuple):
    """What is made of one program or tool. `weight` decides which of several stands: the strictest,
    and of equals the one that a rule says."""

    weight: int
    action: Action
    rule: str
    reason: str
    remedy: str = ""
    source: str = ""
    owner: str = ""


def weigh(action: Action, rank: int) -> int:
    """The weight of a ruling. `rank` tells rules (2) from what is said of shell text (1) and of
    tools (0) that no rule names."""
    return STRICTNESS[action] * 3 + rank


def order(rule: Document) -> tuple[float, str]:
    """What rules are tried by: the strictest first, then by name, never by place in the file. An
    allow for one call exactly comes before what asks, and after what denies."""
    return -1.5 if rule.exactly else -STRICTNESS[Action(rule.action)], rule.name


class Named[R]:
    """Rules by the names they are for, so that most are never looked at.

    `names` gives the globs that a rule is found by; None is for rules about anything.
    """

    def __init__(self, rules: Iterable[R], names: Callable[[R], Iterable[str] | None]) -> None:
        self._plain: dict[str, list[R]] = {}
        self._globs: list[tuple[Glob, R]] = []
        self.any: list[R] = []
        for rule in rules:
            found = names(rule)
            if found is None:
                self.any.append(rule)
            for name in dict.fromkeys(found or ()):
                if is_plain(name):
                    self._plain.setdefault(name, []).append(rule)
                else:
                    self._globs.append((Glob(name), rule))

    def find(self, names: Several[str]) -> list[R]:
        """The rules for any of these names, and those about anything; some twice."""
        found = list(self.any)
        for name in names:
            found += self._plain.get(name, ())
            found += [rule for glob, rule in self._globs if glob.matches(name)]
        return found


class Subject(Protocol):
    """What is judged: the names that rules find it by, and the files that it is about."""

    @property
    def names(self) -> Several[str]: ...

    @property
    def files(self) -> Several[str]: ...


class ActRule[D: Document, S: Subject](ABC):
    """A compiled rule of `shell.rules` or `tools.rules`."""

    __slots__ = ("allows", "document", "holding", "sequence")

    def __init__(self, document: D, labels: Mapping[str, str]) -> None:
        self.document = document
        self.allows = document.action == "allow"
        self.sequence = Sequence(document.after) if document.after else None
        self.holding = holding(document, labels)

    @abstractmethod
    def names(self) -> Iterable[str] | None:
        """The globs that the rule is found by; None for any."""

    @abstractmethod
    def miss(self, subject: S, *, certain: bool = True) -> str:
        """What of the rule does not fit, but for `after`; "" where all does, surely or perhaps."""

    def applies(self, subject: S, past: Past, own: Several[Deed], *, certain: bool) -> bool:
        """Whether the rule holds: certainly, or only perhaps."""
        return (
            self.miss(subject, certain=certain) == ""
            and self.in_force(past)
            and (
                self.sequence is None
                or self.sequence.happened(past, own, subject.files) is not None
            )
        )

    def in_force(self, past: Past) -> bool:
        """Whether the rule holds on this day and in this run: a deny or ask if it may."""
        if self.holding is None:
            return True
        return (self.holding.holds if self.allows else self.holding.may_hold)(past.today)


class Section[R: ActRule[Any, Any], S: Subject](ABC):
    """All that a policy says about programs, or about tools: its rules, and a default."""

    def __init__(self, rules: Iterable[R], default: Choice) -> None:
        self.rules = sorted(rules, key=lambda rule: order(rule.document))
        self._rank = {rule: place for place, rule in enumerate(self.rules)}
        self._named = Named(self.rules, lambda rule: rule.names())
        self._default = Action(default)

    @abstractmethod
    def _what(self, rule: R, subject: S) -> str:
        """What a rule is about, as a person is told."""

    @abstractmethod
    def _by_default(self, subject: S, near: Several[R]) -> Ruling:
        """What is made of what no rule decides, and lies `near` these."""

    def judge(self, subject: S, past: Past, own: Several[Deed] = ()) -> Ruling:
        """What is made of one program or tool."""
        found = self._named.find(subject.names)
        if len(found) > 1:
            found.sort(key=self._rank.__getitem__)
        for rule in found:
            if rule.applies(subject, past, own, certain=rule.allows):
                if self._loosens(rule, found, subject, past, own):
                    break
                return self._ruled(rule, subject, past, own)
        return self._lapsed(self._by_default(subject, found), found, subject, past)

    def _lapsed(self, ruling: Ruling, found: list[R], subject: S, past: Past) -> Ruling:
        """The default's ruling, which tells of an allow that would have fitted."""
        if ruling.action is Action.ALLOW:
            return ruling
        for rule in found:
            limit = rule.holding if rule.allows and not rule.miss(subject) else None
            if limit is not None and (lapse := limit.lapse(past.today)):
                name, owner = rule.document.name, rule.document.owner
                reason = f"{ruling.reason}; rule {name} {lapse}{owned(owner)}"
                return ruling._replace(reason=reason, remedy=limit.remedy(), owner=owner)
        return ruling

    def asks(self, name: str, subject: S) -> bool:
        """Whether the rule or the default of this name asks about it, whatever was done before."""
        if rule := next((each for each in self.rules if each.document.name == name), None):
            return not rule.miss(subject, certain=False)
        ruling = self.judge(subject, NOTHING)
        return (ruling.rule, ruling.action) == (name, Action.ASK)

    def _loosens(self, rule: R, found: list[R], subject: S, past: Past, own: Several[Deed]) -> bool:
        """Whether an ask that only perhaps holds would make a default deny an ask."""
        if rule.document.action != "ask" or self._default is not Action.DENY:
            return False
        others = (each for each in found if each is rule or each.allows)
        return not any(each.applies(subject, past, own, certain=True) for each in others)

    def _ruled(self, rule: R, subject: S, past: Past, own: Several[Deed]) -> Ruling:
        document, action = rule.document, Action(rule.document.action)
        deed = rule.sequence.happened(past, own, subject.files) if rule.sequence else None
        parts = [
            f"rule {document.name} {DOES[action]} {self._what(rule, subject)}",
            f" {told(deed, past.now)}" if deed else "",
            f": {document.reason}" if document.reason else "",
        ]
        remedy = "" if action is Action.ALLOW else _change(action, document)
        return Ruling(
            weigh(action, 2), action, document.name, "".join(parts), remedy, document.source,
            document.owner,
        )  # fmt: skip


def _change(action: Action, rule: Document) -> str:
    """What to do about a rule that holds something back."""
    if action is Action.ASK:
        return f"let a person allow it, or narrow or remove rule {rule.name} ({rule.source})"
    return f"narrow or remove rule {rule.name} ({rule.source}): deny beats ask beats allow"
