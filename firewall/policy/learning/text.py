"""What was learned as the text of a policy, each rule below its evidence."""

from collections.abc import Iterator, Mapping

from firewall.policy.flow import flow, quoted
from firewall.policy.holding import NO_LABELS
from firewall.policy.learning.learned import Learned, Lesson, joined
from firewall.policy.learning.lessons import Place, Section
from firewall.policy.learning.rules import rule

_WORDS = ("allow", "tls")
"""Keys whose texts are words of the language."""
REASON = 400
"""Characters of a reason, which may hold what a server or an agent said."""
NAMED = 5
"""Programs and widened things that a comment names; of more, the number."""


def written(found: Learned, labels: Mapping[str, str] = NO_LABELS) -> str:
    """The policy as YAML, whose rules hold in runs with these labels, and below it what was not
    learned. What the log says nothing of is left as `base` has it; of programs and tools that it
    does, those not learned are denied."""
    numbered = list(enumerate(sorted(found.places.items(), key=_order), 1))
    lines = ["version: 1", "name: learned", "extends: [base]"]
    for section in ("network", "shell", "tools"):
        own = [(number, each) for number, each in numbered if each[0].section == section]
        if own or section == "network" or section in found.sections:
            lines += [f"{section}:", *_opening(section)]
            lines.append("  rules:" if own else "  rules: []")
        for number, (place, lesson) in own:
            lines += _rule(f"learned-{number}", place, lesson)
            lines += [f"      labels: {flow(dict(labels))}"] if labels else []
    return "\n".join([*lines, *_left_out(found)]) + "\n"


def _left_out(found: Learned) -> Iterator[str]:
    for why, each in sorted(found.skipped.items()):
        example = quoted(each.example)
        yield f"# not learned: {each.count}, such as {example}, because {quoted(why[:REASON])}"


def _order(each: tuple[Place, Lesson]) -> tuple[int, Place]:
    sections: tuple[Section, ...] = ("network", "shell", "tools")
    return sections.index(each[0].section), each[0]


def _opening(section: str) -> list[str]:
    return [] if section == "network" else ["  default: deny"]


def _rule(name: str, place: Place, lesson: Lesson) -> Iterator[str]:
    yield from (f"    # {text}" for text in _told(lesson))
    yield f"    - name: {name}"
    for key, value in rule(place, lesson.items, lesson.addresses).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"      {key}:"
            yield from (f"        - {flow(each)}" for each in value)
        else:
            plain = key in _WORDS and isinstance(value, str)
            yield f"      {key}: {value if plain else flow(value)}"


def _told(lesson: Lesson) -> Iterator[str]:
    """The evidence. What an agent wrote is quoted, so that it cannot end the comment."""
    evidence = joined(lesson.items.values())
    first, last = evidence.first, evidence.last
    several = "s" if evidence.count > 1 else ""
    yield f"{evidence.count} request{several}, first {quoted(first.at)} at {quoted(first.time)},"
    yield f"  last {quoted(last.at)} at {quoted(last.time)}, by"
    yield from _listed(sorted(evidence.programs), "programs")
    if lesson.widened:
        yield "widened from"
        yield from _listed(lesson.widened, "others")


def _listed(texts: list[str], what: str) -> Iterator[str]:
    yield from (f"  {quoted(text)}" for text in texts[:NAMED])
    if len(texts) > NAMED:
        yield f"  and {len(texts) - NAMED} more {what}"
