"""Wider rules from what was learned exactly, where a person asks for them.

Hosts: `*.cdn.example.com` for three or more hosts right below one name, by one scheme and port. The
name is registrable or below one that is: never a public suffix, below which strangers are.

Paths: `/items/*` for three or more paths of one method, host and port that differ in one segment.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Literal

from firewall.domains import registrable
from firewall.policy.learn import Evidence, Learned, Place

LEAST = 3
"""Examples that a wider rule needs."""

type What = Literal["hosts", "paths"]
type Request = tuple[str, str]


def generalise(found: Learned, what: Iterable[What]) -> Learned:
    """What was learned, with wider rules in place of the exact ones that they cover."""
    steps: dict[What, Callable[[Learned], Learned]] = {"paths": _paths, "hosts": _hosts}
    for each in sorted(set(what), reverse=True):  # paths first: alike ones let hosts be joined
        found = steps[each](found)
    return found


def _hosts(found: Learned) -> Learned:
    siblings = Counter(map(_above, found.places))
    enough = {place for place, count in siblings.items() if place and count >= LEAST}
    groups: dict[Place, list[Place]] = defaultdict(list)
    for place in found.places:
        groups[_widest(place, enough)].append(place)
    return Learned(
        {wide: _group(found, wide, each) for wide, each in groups.items()}, found.skipped
    )


def _above(place: Place) -> Place | None:
    """The name right above a host's, unless strangers are below that one."""
    scheme, host, port = place
    parent = host.partition(".")[2]
    return (scheme, parent, port) if registrable(parent) is not None else None


def _widest(place: Place, enough: set[Place]) -> Place:
    """What covers a place: a wildcard covers all that is below its name, at any depth."""
    above, wide = _above(place), place
    while above is not None:
        if above in enough:
            wide = (above[0], f"*.{above[1]}", above[2])
        above = _above(above)
    return wide


def _group(found: Learned, wide: Place, members: list[Place]) -> Evidence:
    if members == [wide]:
        return found.places[wide]
    evidence = _joined([found.places[each] for each in members])
    evidence.widened += sorted(host for _, host, _ in members)
    return evidence


def _joined(several: list[Evidence]) -> Evidence:
    evidence = Evidence(
        min((each.first for each in several), key=lambda seen: seen.time),
        max((each.last for each in several), key=lambda seen: seen.time),
    )
    for each in several:
        evidence.count += each.count
        evidence.programs |= each.programs
        evidence.requests |= each.requests
        evidence.widened += each.widened
    return evidence


def _paths(found: Learned) -> Learned:
    return Learned(
        {place: _widened(evidence) for place, evidence in found.places.items()}, found.skipped
    )


def _widened(evidence: Evidence) -> Evidence:
    requests, told = set(evidence.requests), list(evidence.widened)
    while covered := _alike(requests):
        glob, members = covered
        requests = (requests - members) | {glob}
        told += sorted(path for _, path in members if "*" not in path)
    return Evidence(
        evidence.first, evidence.last, evidence.count, evidence.programs, requests, told
    )


def _alike(requests: set[Request]) -> tuple[Request, set[Request]] | None:
    """The requests that differ in one segment of the path, and what stands for them all."""
    groups: dict[Request, set[Request]] = defaultdict(set)
    for method, path in requests:
        segments = path.split("/")
        for at, segment in enumerate(segments):
            if at and segment not in ("", "*"):
                glob = "/".join([*segments[:at], "*", *segments[at + 1 :]])
                groups[method, glob].add((method, path))
    enough = [(glob, members) for glob, members in groups.items() if len(members) >= LEAST]
    return max(enough, key=lambda each: (len(each[1]), each[0]), default=None)
