"""Why everything is closed, and what is said of it."""

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import Any

from firewall.frozen import frozen
from firewall.verdict import Action, Severity, Verdict


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@frozen
class Cause:
    """Why a sandbox is put into quarantine.

    `rule` and `reason` are those of the critical verdict, whose whole event is `trigger`; where a
    person asked for it, `by` says who, and there is no trigger. `freeze` asks for the sandbox's
    processes to be stopped as well. `since` is in UTC (RFC 3339).
    """

    rule: str
    reason: str
    freeze: bool = False
    by: str = "the policy"
    trigger: Mapping[str, Any] | None = None
    since: str = field(default_factory=_now)


type Alarm = Callable[[Cause], None]

SHUT = Verdict(
    action=Action.DENY,
    rule="quarantine",
    reason="all egress of this sandbox is closed",
    severity=Severity.WARNING,
    remedy="`firewall sandbox list` shows why",
)
"""What a quarantine says until it can say more."""


def shut_by(cause: Cause, release: str) -> Verdict:
    """The deny that answers everything in a quarantine: since when, why, and what ends it."""
    why = f"{cause.rule}: {cause.reason}"
    reason = f"{SHUT.reason} since {cause.since}, because of {why}"
    return replace(SHUT, reason=reason, remedy=release)
