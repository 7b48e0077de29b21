"""When and where a rule holds, and whose it is: dates, labels of the run, an owner."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from firewall.policy.errors import Fault
from firewall.policy.strict import Strict

SOON = timedelta(days=14)
"""How long before its end a rule is told of."""

NO_LABELS: Mapping[str, str] = MappingProxyType({})

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def parse_date(text: str) -> str:
    """A day as rules compare it. Raises Fault where it is none."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise Fault(f"{text!r} is no date", "year, month and day, as 2026-12-31")


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise Fault(f"{text!r} is no label", "letters, digits, '.', '_' and '-', as env: ci")
    return text


def _form(value: Any) -> str:
    return "one" if isinstance(value, str) else "several"


DateText = Annotated[str, AfterValidator(parse_date)]
"""A day in UTC (ISO 8601); such texts compare as the days do."""
LabelText = Annotated[str, AfterValidator(_label)]
LabelValues = Annotated[
    Annotated[LabelText, Tag("one")]
    | Annotated[Annotated[list[LabelText], Field(min_length=1)], Tag("several")],
    Discriminator(_form),
]


class Validity(Strict):
    """The days on which a rule holds, the first and the last included. Days begin in UTC."""

    start: DateText | None = Field(default=None, alias="from")
    until: DateText | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Validity":
        if self.start is None and self.until is None:
            raise Fault("valid names no day", "valid: {until: 2026-12-31}, or no valid")
        if self.start and self.until and self.until < self.start:
            what = f"the last day {self.until} is before the first, {self.start}"
            raise Fault(what, f"valid: {{from: {self.until}, until: {self.start}}}")
        return self


class HeldKeys(Strict):
    """The keys that all rules have: when and where each holds, and who answers for it.

    Without `valid` a rule always holds, without `labels` in every run. A run has the labels that
    it is started with (`firewall run --label env=ci`); all that a rule names must fit.
    """

    valid: Validity | None = None
    labels: dict[LabelText, LabelValues] | None = Field(default=None, min_length=1)
    owner: str = Field(default="", description="Who answers for the rule; refusals name them.")

    @property
    def wanted(self) -> dict[str, tuple[str, ...]]:
        """The values that each label may have."""
        pairs = (self.labels or {}).items()
        return {name: (each,) if isinstance(each, str) else tuple(each) for name, each in pairs}


class Held(Protocol):
    """A resolved rule, as this module sees it."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def valid(self) -> Validity | None: ...
    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]: ...


class Holding:
    """When and where a rule holds, compiled for a run with these labels.

    `elsewhere` says where it holds instead; "" where that is here.
    """

    __slots__ = ("_rule", "_start", "_until", "elsewhere")

    def __init__(self, rule: Held, labels: Mapping[str, str]) -> None:
        self._rule = rule
        self._start = (rule.valid and rule.valid.start) or ""
        self._until = (rule.valid and rule.valid.until) or "9999-12-31"
        misfits = (name for name, values in rule.labels.items() if labels.get(name) not in values)
        self.elsewhere = "; ".join(
            f"{name} is {' or '.join(rule.labels[name])} ({_here(labels, name)})"
            for name in misfits
        )

    def holds(self, today: str) -> bool:
        """Whether the rule surely holds; on a day that nobody told, one with dates does not."""
        known = bool(today) or self._rule.valid is None
        return known and self._start <= (today or self._start) <= self._until and self._is_here

    def may_hold(self, today: str) -> bool:
        """Whether it may: what a deny is asked. On a day that nobody told it does."""
        return self._is_here and (not today or self._start <= today <= self._until)

    def lapse(self, today: str) -> str:
        """Why the rule does not hold, to follow its name; "" where it does."""
        if self.holds(today):
            return ""
        if self.elsewhere:
            return f"would allow this only where {self.elsewhere}"
        if not today:
            return "would allow this on certain days, and nobody told the day"
        if today < self._start:
            return f"will allow this from {self._start} on"
        return f"would have allowed this until {self._until}"

    def when(self) -> str:
        """When and where alone the rule holds."""
        first = f"from {self._start}" if self._start else ""
        last = f"until {self._until}" if self._until < "9999" else ""
        labels = (f"where {name} is {' or '.join(v)}" for name, v in self._rule.labels.items())
        return f"holds only {', '.join(filter(None, (first, last, *labels)))}"

    def remedy(self) -> str:
        """What to change where the rule should hold."""
        place = f"rule {self._rule.name} ({self._rule.source})"
        if self.elsewhere:
            return f"start this with the labels of {place}, if they are true of it"
        return f"change valid of {place}, if it is still right"

    @property
    def _is_here(self) -> bool:
        return not self.elsewhere


def holding(rule: Held, labels: Mapping[str, str]) -> Holding | None:
    """What limits a rule in time and place; None for one that always holds."""
    return Holding(rule, labels) if rule.valid or rule.labels else None


def owned(owner: str) -> str:
    """The end of a sentence about a rule that names its owner.

    >>> owned("ml-platform"), owned("")
    (', owner ml-platform', '')
    """
    return f", owner {owner}" if owner else ""


def expiring(rules: Iterable[Held], today: date) -> Iterator[str]:
    """What a person should know of rules that have ended, or end soon."""
    for rule in rules:
        until = rule.valid and rule.valid.until
        if not until or until > (today + SOON).isoformat():
            continue
        days = (date.fromisoformat(until) - today).days
        when = f"ends in {days} days, after" if days >= 0 else "has ended, on"
        owner = owned(rule.owner)
        yield f"rule {rule.name} ({rule.source}) {when} {until}{owner}: renew or remove it"


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """The labels of a run, each "NAME=VALUE". Raises ValueError."""
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not _LABEL.fullmatch(name) or not _LABEL.fullmatch(value):
            raise ValueError(f"--label {text} is no label; write it as --label env=ci")
        if labels.setdefault(name, value) != value:
            raise ValueError(f"--label {text}: {name} is {labels[name]} already")
    return labels


def _here(labels: Mapping[str, str], name: str) -> str:
    return f"here it is {labels[name]}" if name in labels else f"here no label says {name}"
