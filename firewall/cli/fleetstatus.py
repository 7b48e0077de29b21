"""`firewall fleet status`: every node, what it judges by, and what is not right."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from firewall.cli.lines import printable

if TYPE_CHECKING:
    from firewall.fleet.overview import Node, Offer

_COLUMNS = ("group", "node", "version", "in force", "digest", "late", "missing", "alarms", "heard")


def table(offers: "Sequence[Offer]", nodes: "Sequence[Node]", now: datetime) -> list[str]:
    """What a person reads: the groups, the nodes, and then what is wrong."""
    lines = [_offered(each) for each in offers]
    if nodes:
        lines += ["", *_aligned([_COLUMNS, *(_row(each, now) for each in nodes)])]
    wrong = [printable(f"{each.group}: {each.trouble}") for each in offers if each.trouble]
    for each in nodes:
        wrong += [f"{each.group}/{each.source}: {printable(why, 600)}" for why in each.troubles]
    return [*lines, "", *wrong] if wrong else lines


def members(offers: "Sequence[Offer]", nodes: "Sequence[Node]") -> str:
    """The same as JSON."""
    return json.dumps({"groups": [_group(each) for each in offers], "nodes": [*map(_node, nodes)]})


def _offered(offer: "Offer") -> str:
    if not offer.version or offer.since is None:
        return f"{printable(offer.group)}: -"
    return (
        f"{offer.group}: {printable(offer.name)}, version {offer.version}, published"
        f" {offer.since:%Y-%m-%d %H:%M:%S} UTC, sha256 {offer.sha256[:12]}"
        f"{'' if offer.verified else '; without --key its signature is not checked'}"
    )


def _row(node: "Node", now: datetime) -> tuple[str, ...]:
    heard = _span((now - node.seen).total_seconds())
    if node.report is None:
        return (node.group, node.source, "?", "?", "?", "?", "?", "?", heard)
    report = node.report
    total = sum(each.count for each in report.gates)
    late = "-" if node.late_since is None else _span((now - node.late_since).total_seconds())
    digests = {each.digest[:12] for each in report.gates}
    return (
        node.group,
        node.source,
        str(report.bundle.version) if report.bundle else "-",
        f"{total - report.behind}/{total}" if total else "no gate",
        ",".join(sorted(digests)) or "-",
        late,
        "?" if node.missing is None else str(node.missing),
        str(sum(node.alarms.values())),
        heard,
    )


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _span(seconds: float) -> str:
    """A time in one unit; none is negative, though two clocks were read."""
    whole = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def _group(offer: "Offer") -> dict[str, Any]:
    return {
        "group": offer.group,
        "name": offer.name,
        "version": offer.version,
        "sha256": offer.sha256,
        "since": _moment(offer.since),
        "verified": offer.verified,
        "trouble": offer.trouble,
    }


def _node(node: "Node") -> dict[str, Any]:
    return {
        "group": node.group,
        "source": node.source,
        "heard": _moment(node.seen),
        "report": node.report and node.report.model_dump(mode="json", exclude={"rotations"}),
        "late_since": _moment(node.late_since),
        "missing": node.missing,
        "alarms": dict(node.alarms),
        "troubles": list(node.troubles),
    }


def _moment(when: datetime | None) -> str | None:
    return None if when is None else f"{when:%Y-%m-%dT%H:%M:%SZ}"
