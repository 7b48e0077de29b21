"""Wider rules from what was learned exactly, where a person asks for them.

Hosts: `*.cdn.example.com` for three or more hosts right below one name, by one kind and port. The
name is registrable or below one that is: never a public suffix, below which strangers are.

Paths: `/items/*` for three or more paths of one method, host and port that differ in one segment.

Arguments: `add *` for three or more runs of one program that differ in one argument, but for what
has an intent (a download, inline code) or runs another program; of three or more calls of one tool,
the arguments that are the same in all of them.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from firewall.domains import registrable
from firewall.policy.globs import literal
from firewall.policy.learning.learned import Evidence, Learned, Lesson, joined
from firewall.policy.learning.lessons import Item, Place, Unnameable
from firewall.policy.learning.rules import check

LEAST = 3
"""Examples that a wider rule needs."""

type What = Literal["hosts", "paths", "arguments"]
type Words = tuple[str | None, ...]
"""Words in their order; None stands for any."""
type Places = dict[Place, Lesson]

_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


def generalise(found: Learned, what: Iterable[What]) -> Learned:
    """What was learned, with wider rules in place of the exact ones that they cover."""
    steps: dict[What, Callable[[Places], Places]] = {
        "arguments": _arguments,
        "paths": _paths,  # before hosts: whose requests are alike, those can be joined
        "hosts": _hosts,
    }
    wanted = set(what)
    for name, step in steps.items():
        if name in wanted:
            found = Learned(step(found.places), found.skipped, found.sections)
    return found


def _hosts(places: Places) -> Places:
    siblings = Counter(map(_above, places))
    enough = {place for place, count in siblings.items() if place and count >= LEAST}
    groups: dict[Place, list[Place]] = defaultdict(list)
    for place in places:
        groups[_widest(place, enough)].append(place)
    return {wide: _group(places, wide, members) for wide, members in groups.items()}


def _above(place: Place) -> Place | None:
    """The name right above a host's, unless strangers are below that one."""
    parent = place.name.partition(".")[2]
    owned = place.section == "network" and registrable(parent) is not None
    return place._replace(name=parent) if owned else None


def _widest(place: Place, enough: set[Place]) -> Place:
    """What covers a place: a wildcard covers all that is below its name, at any depth."""
    above, wide = _above(place), place
    while above is not None:
        if above in enough:
            wide = above._replace(name=f"*.{above.name}")
        above = _above(above)
    return wide


def _group(places: Places, wide: Place, members: list[Place]) -> Lesson:
    if members == [wide]:
        return places[wide]
    items: dict[Item, list[Evidence]] = defaultdict(list)
    for member in members:
        for item, evidence in places[member].items.items():
            items[item].append(evidence)
    told = [text for member in members for text in places[member].widened]
    names = sorted(member.name for member in members)
    addresses = {each for member in members for each in places[member].addresses}
    return Lesson({item: joined(each) for item, each in items.items()}, told + names, addresses)


def _paths(places: Places) -> Places:
    web = ("https", "http")
    return {
        place: _with_wide_paths(lesson) if place.kind in web else lesson
        for place, lesson in places.items()
    }


def _with_wide_paths(lesson: Lesson) -> Lesson:
    known: dict[Words, Item] = {}
    for item in lesson.items:
        method, path, keys = item
        known[method, keys, *path.split("/")] = item
    wide = Lesson(widened=list(lesson.widened), addresses=lesson.addresses)
    for words, members in _covered(known, fixed=3).items():
        method, keys, *segments = ("*" if word is None else word for word in words)
        items = [known[each] for each in members]
        evidence = joined(lesson.items[each] for each in items)
        wide.items[method, "/".join(segments), keys] = evidence
        wide.widened += sorted(path for _, path, _ in items) if len(items) > 1 else []
    return wide


def _arguments(places: Places) -> Places:
    groups: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place in places:
        if place.section != "network" and place.detail:
            groups[place.kind, place.name].append(place)
    wider = dict(places)
    for (kind, _), members in groups.items():
        _replace(wider, members, _runs if kind == "program" else _calls)
    return wider


def _runs(places: Places, members: list[Place]) -> Iterator[tuple[Item, list[Place]]]:
    """Globs over arguments, and the runs that each stands for."""
    plain = [place for place in members if set(places[place].items) == {()}]
    known: dict[Words, Place] = {tuple(json.loads(place.detail)): place for place in plain}
    for words, covered in _covered(known, fixed=0).items():
        if None in words:
            text = " ".join("*" if word is None else literal(word) for word in words)
            yield ("arguments", text), [known[each] for each in covered]


def _calls(places: Places, members: list[Place]) -> Iterator[tuple[Item, list[Place]]]:
    """The arguments of a tool that are the same in all its calls."""
    if len(members) < LEAST:
        return
    first, *others = (json.loads(place.detail) for place in members)
    same = [key for key, value in first.items() if all(_same(value, key, o) for o in others)]
    for key in same:
        path = f"$.{key}" if _NAME.fullmatch(key) else f'$["{key}"]'
        yield (path, json.dumps(first[key])), members
    if not same:
        yield (), members


def _same(value: Any, key: str, other: dict[str, Any]) -> bool:
    plain = isinstance(value, str | int | float)
    return plain and json.dumps(value) == json.dumps(other.get(key))


def _replace(
    places: Places,
    members: list[Place],
    widen: Callable[[Places, list[Place]], Iterator[tuple[Item, list[Place]]]],
) -> None:
    """Put what is wider in the place of what it covers; all stays where no rule can say it."""
    wide, lesson = members[0]._replace(detail=""), Lesson()
    covered: dict[Place, None] = {}
    for item, several in widen(places, members):
        try:
            check(wide, item)
        except Unnameable:
            return
        lesson.items[item] = joined(e for each in several for e in places[each].items.values())
        covered |= dict.fromkeys(several)
    lesson.widened = sorted(" ".join(_texts(place)) for place in covered)
    for place in covered:
        del places[place]
    if covered:
        places[wide] = lesson


def _texts(place: Place) -> list[str]:
    told = json.loads(place.detail)
    return [place.name, *told] if isinstance(told, list) else [place.name, place.detail]


def _covered(known: Iterable[Words], fixed: int) -> dict[Words, set[Words]]:
    """What stands for which of them: words of which one may be any, or each for itself. The first
    `fixed` words are never any."""
    groups = {words: {words} for words in known}
    while wide := _widest_words(groups, fixed):
        words, members = wide
        taken = [groups.pop(each) for each in members]
        groups[words] = groups.get(words, set()).union(*taken)
    return groups


def _widest_words(known: Iterable[Words], fixed: int) -> tuple[Words, set[Words]] | None:
    """Those that differ in one word, the most of them, and what stands for them all."""
    groups: dict[Words, set[Words]] = defaultdict(set)
    for words in known:
        for at, word in enumerate(words):
            if at >= fixed and word:
                groups[*words[:at], None, *words[at + 1 :]].add(words)
    enough = [(words, members) for words, members in groups.items() if len(members) >= LEAST]
    return max(enough, key=lambda each: (len(each[1]), repr(each[0])), default=None)
