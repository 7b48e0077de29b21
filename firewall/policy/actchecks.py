"""What the values of `shell:` and `tools:` mean together, and that every rule's name is its own."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from firewall.policy.acts import ProgramRule, ToolRule
from firewall.policy.checks import Placed, PlacedIn, SourceFile, identical
from firewall.policy.errors import Fault, Problem

type PlacedProgram = PlacedIn[ProgramRule]
type PlacedTool = PlacedIn[ToolRule]
type PlacedAct = PlacedProgram | PlacedTool
type _AnyPlaced = Placed | PlacedAct


def placed_programs(files: Iterable[SourceFile]) -> list[PlacedProgram]:
    """All rules of `shell` of all files, in order."""
    return [
        PlacedIn(rule, file, position, "shell")
        for file in files
        for position, rule in enumerate(file.document.shell.rules)
    ]


def placed_tools(files: Iterable[SourceFile]) -> list[PlacedTool]:
    """All rules of `tools` of all files, in order."""
    return [
        PlacedIn(rule, file, position, "tools")
        for file in files
        for position, rule in enumerate(file.document.tools.rules)
    ]


def check_acts(rules: Sequence[PlacedAct]) -> Iterator[Problem]:
    """Every fault of rules about programs or tools, by themselves and together."""
    for each in rules:
        yield from _choice(each)
        yield from _allow(each)
        yield from _exactly(each)
        yield from _everything(each)
    yield from identical((each, _effect(each.rule)) for each in rules)


def check_names(rules: Iterable[_AnyPlaced]) -> Iterator[Problem]:
    """No two rules of a policy have one name: a verdict names its rule by it."""
    first: dict[str, _AnyPlaced] = {}
    for each in rules:
        name = each.rule.name
        if name in first:
            fault = Fault(f"the rule name {name} is taken by {first[name].where}", f"{name}-2")
            yield each.problem(fault, "name")
        first.setdefault(name, each)


def _choice(placed: PlacedAct) -> Iterator[Problem]:
    rule = placed.rule
    written = [key for key in ("allow", "ask", "deny") if getattr(rule, key) is not None]
    if not written:
        what = f"rule {rule.name} neither allows, asks nor denies"
        yield placed.problem(Fault(what, "deny: [name], ask: [name] or allow: [name]"))
    for key in written[1:]:
        what = f"rule {rule.name} says {written[0]} and {key}"
        yield placed.problem(Fault(what, "two rules; deny beats ask, ask beats allow"), key)


def _allow(placed: PlacedAct) -> Iterator[Problem]:
    rule = placed.rule
    if rule.allow is not None and rule.after is not None:
        what = f"rule {rule.name} is an allow; after is for what deny and ask hold back"
        yield placed.problem(Fault(what, "a deny or ask with this after, or no after"), "after")


def _exactly(placed: PlacedAct) -> Iterator[Problem]:
    rule = placed.rule
    if rule.exactly is not None and rule.allow is None:
        what = f"rule {rule.name} is no allow; exactly is for one call that is allowed unasked"
        narrow = "arguments" if isinstance(rule, ProgramRule) else "where"
        yield placed.problem(Fault(what, f"an allow with this exactly, or {narrow}"), "exactly")


def _everything(placed: PlacedAct) -> Iterator[Problem]:
    """What a default says better."""
    rule = placed.rule
    key = next((key for key in ("allow", "ask", "deny") if getattr(rule, key) == "any"), None)
    if key and not _narrowed(rule):
        what = f"rule {rule.name} is about everything there is"
        yield placed.problem(Fault(what, f"{placed.section}: {{default: {key}}}"), key)


def _narrowed(rule: ProgramRule | ToolRule) -> bool:
    plain = {"name", "allow", "ask", "deny", "owner", "reason"}
    return any(getattr(rule, field) for field in type(rule).model_fields if field not in plain)


def _effect(rule: ProgramRule | ToolRule) -> object:
    values = ((field, getattr(rule, field)) for field in type(rule).model_fields)
    return frozenset(
        (field, _frozen(value))
        for field, value in values
        if field not in ("name", "owner", "reason")
    )


def _frozen(value: Any) -> object:
    return frozenset(value) if isinstance(value, list) else repr(value)
