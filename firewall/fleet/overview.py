"""A fleet at one moment: what is offered, what each node says, and what of it is not right.

Pure: what was read (census.py) is judged here. Times of the past are the server's, so that a node
whose clock is wrong is found out instead of believed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta

from firewall.fleet.bundlefile import fingerprint
from firewall.fleet.publishing import standing
from firewall.fleet.report import Report, read
from firewall.fleet.wire import Stored
from firewall.frozen import frozen
from firewall.notes import Key
from firewall.policy.bundle import Trust

GRACE = timedelta(seconds=30)
"""What a bundle may take from its publication to its being in force."""
SKEW = timedelta(seconds=30)
SHIPPING = timedelta(seconds=5)
"""A younger report may tell of records that are on their way."""


@frozen
class Asked:
    """What the fleet is held against.

    `trust` has the keys that sign policies, `pinned` the nodes' own (None: not asked for),
    `silence` is how long a node may say nothing.
    """

    now: datetime
    trust: Trust = field(default_factory=Trust)
    pinned: Mapping[str, Key] | None = None
    silence: timedelta = timedelta(seconds=60)


@frozen
class Told:
    """What is known of a node besides its report: how far its log came, and the alarms about it.

    `arrived` is None where no log of this fleet is received anywhere.
    """

    arrived: Mapping[str, int] | None = None
    alarms: Mapping[str, int] = field(default_factory=dict)


@frozen
class Offer:
    """What a group is offered; version 0 where that is nothing, or nothing that may be taken.

    `verified` says whether a key signed it that we know.
    """

    group: str
    name: str = ""
    version: int = 0
    sha256: str = ""
    since: datetime | None = None
    trouble: str = ""
    verified: bool = False


@frozen
class Node:
    """A node as it was seen last. `missing` are records that have not arrived, None: not known."""

    group: str
    source: str
    seen: datetime
    report: Report | None = None
    late_since: datetime | None = None
    missing: int | None = None
    alarms: Mapping[str, int] = field(default_factory=dict)
    troubles: Sequence[str] = ()


def offer(group: str, stored: Stored, asked: Asked) -> Offer:
    """What a group is offered, as its stream has it. Without keys no signature is checked."""
    bundle = standing(stored.data, Trust(asked.trust.keys, group=group))
    if bundle is None:
        what = "what is published for it is no bundle that its nodes take: publish the right one"
        return Offer(group, since=stored.at, trouble=what)
    found = bundle.contents
    expired = found.expires is not None and found.expires <= asked.now
    trouble = f"it expired on {found.expires:%Y-%m-%d}: publish a newer one" if expired else ""
    sha256 = fingerprint(stored.data)
    verified = bool(asked.trust.keys)
    return Offer(group, found.name, found.version, sha256, stored.at, trouble, verified)


def node(group: str, source: str, stored: Stored, offered: Offer, told: Told, asked: Asked) -> Node:
    """A node by its last report, held against what it is offered and what arrived of its log."""
    try:
        signed = read(stored.data)
    except ValueError as error:
        return Node(group, source, stored.at, troubles=(f"its report cannot be read: {error}",))
    report = signed.report
    missing = _missing(report, told)
    late = _late(report, offered)
    troubles = [
        "" if asked.pinned is None else _unproven(source, asked.pinned, signed.by),
        _misplaced(report, group, source),
        _silent(asked.now - stored.at, asked.silence),
        _skewed(report.time - stored.at),
        f"it refuses what is offered: {report.refused.why}" if report.refused else "",
        *(_unfollowed(report, offered) if _is_due(offered, asked.now) else ()),
        _behind(missing, asked.now - stored.at),
        _alarming(told.alarms),
    ]
    return Node(
        group, source, stored.at, report, late, missing, told.alarms, [*filter(None, troubles)]
    )


def _missing(report: Report, told: Told) -> int | None:
    """Records that the node has written and that have not arrived."""
    if told.arrived is None:
        return None
    there = told.arrived
    return sum(max(0, head - there.get(chain, 0)) for chain, head in report.heads.items())


def _late(report: Report, offered: Offer) -> datetime | None:
    """Since when another bundle is offered than the one that is here; None where it is the same."""
    here = report.bundle.sha256 if report.bundle else ""
    return offered.since if offered.version and here != offered.sha256 else None


def _is_due(offered: Offer, now: datetime) -> bool:
    return offered.since is not None and now - offered.since > GRACE


def _unfollowed(report: Report, offered: Offer) -> list[str]:
    here = report.bundle.version if report.bundle else 0
    found = []
    if since := _late(report, offered):
        found.append(f"version {offered.version} is offered since {since:%Y-%m-%d %H:%M:%S} UTC")
    if report.behind:
        total = sum(each.count for each in report.gates)
        found.append(f"{report.behind} of {total} gates judge by another version than {here}")
    return found


def _unproven(source: str, pinned: Mapping[str, Key], by: Callable[[Key], bool]) -> str:
    if source not in pinned:
        return "no key is pinned for it, so anybody may have reported"
    return "" if by(pinned[source]) else "its pinned key has not signed its report"


def _misplaced(report: Report, group: str, source: str) -> str:
    if (report.group, report.source) == (group, source):
        return ""
    return f"what stands in its place is a report of {report.source} of {report.group}"


def _silent(age: timedelta, silence: timedelta) -> str:
    return f"it has said nothing for {int(age.total_seconds())} s" if age > silence else ""


def _skewed(skew: timedelta) -> str:
    """A report that is sent again by somebody else is told here, too."""
    if abs(skew) <= SKEW:
        return ""
    where = "ahead" if skew > timedelta() else "behind, or its report is an old one"
    return f"its clock is {int(abs(skew).total_seconds())} s {where}"


def _behind(missing: int | None, age: timedelta) -> str:
    return f"{missing} of its records have not arrived" if missing and age > SHIPPING else ""


def _alarming(alarms: Mapping[str, int]) -> str:
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(alarms.items()))
    return f"its log has: {told}" if told else ""
