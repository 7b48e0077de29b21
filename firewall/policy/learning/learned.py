"""What was learned of a log, with the evidence for each piece of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from firewall.policy.learning.lessons import Item, Place, Section
from firewall.policy.recorded import Recorded
from firewall.policy.replay import Skipped


@dataclass(slots=True)
class Evidence:
    """The records behind something: how many, the first and the last, and by which programs."""

    first: Recorded
    last: Recorded
    count: int = 0
    programs: set[str] = field(default_factory=set)

    def add(self, each: Recorded) -> None:
        """Take in one more record."""
        self.last = each
        self.count += 1
        self.programs.add(each.actor.program or "an unknown program")


def joined(several: Iterable[Evidence]) -> Evidence:
    """The evidence for several things together, one at least."""
    known = list(several)
    programs = {program for each in known for program in each.programs}
    return Evidence(
        min((each.first for each in known), key=lambda seen: seen.time),
        max((each.last for each in known), key=lambda seen: seen.time),
        sum(each.count for each in known),
        programs,
    )


@dataclass(slots=True)
class Lesson:
    """What is allowed at one place. `widened` names what something wider now stands for;
    `addresses` are not public, and the place leads there."""

    items: dict[Item, Evidence] = field(default_factory=dict)
    widened: list[str] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)

    def add(self, item: Item, each: Recorded) -> None:
        """Take in one more record of an item."""
        self.items.setdefault(item, Evidence(each, each)).add(each)


@dataclass(slots=True)
class Learned:
    """What was learned, by place, and what was not, by why. `sections` are the parts of a policy
    that the log says something of."""

    places: dict[Place, Lesson] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    sections: set[Section] = field(default_factory=set)

    def skip(self, why: str, evidence: Evidence) -> None:
        """Count what is not learned."""
        self.skipped.setdefault(why, Skipped(evidence.first.at)).count += evidence.count

    def drop(self, place: Place, why: str) -> None:
        """Leave out what was learned of a place after all."""
        for evidence in self.places.pop(place).items.values():
            self.skip(why, evidence)

    def only(self, sections: Iterable[Section]) -> "Learned":
        """The same for some sections alone."""
        kept = set(sections)
        places = {place: each for place, each in self.places.items() if place.section in kept}
        return Learned(places, self.skipped, self.sections & kept)
