"""`firewall policy coverage`: the rules that no test exercises."""

from typing import TYPE_CHECKING, Annotated

import typer

from firewall.cli.policies import Files, console, load, problem, report

if TYPE_CHECKING:
    from firewall.policy.coverage import Covered

AtLeast = Annotated[
    int, typer.Option(min=0, max=100, help="Per cent of the rules that must be exercised.")
]


def coverage(files: Files, *, at_least: AtLeast = 100) -> None:
    """Say which rules no passing case of X.test.yaml exercises, beside each policy X.yaml."""
    enough = [covered(name, at_least) for name in files]
    raise typer.Exit(0 if all(enough) else 1)


def covered(name: str, least: int) -> bool:
    """Whether so many per cent of a policy's rules are exercised; those that are not are told."""
    from firewall.cli.reader import CommandReader
    from firewall.policy import PolicyError
    from firewall.policy import coverage as rules
    from firewall.policy.loading import find

    policy = load(name)
    if policy is None:
        return False
    try:
        tests = find(name).with_suffix(".test.yaml")
        found = rules.coverage(policy, tests, CommandReader())
    except PolicyError as error:
        report(error)
        return False
    return _told(name, found, least)


def _told(name: str, found: "list[Covered]", least: int) -> bool:
    from rich.markup import escape

    missing = [each for each in found if not each.cases]
    for each in missing:
        case = f"{{{each.example}, expect: ..., rule: {each.rule}}}"
        problem(f"{each.source}: no case exercises {each.rule}; write: {case}")
    exercised = len(found) - len(missing)
    enough = 100 * exercised >= least * len(found)
    summary = f"{exercised} of {len(found)} rules are exercised"
    colour = "green" if enough else "red"
    console().print(f"[{colour}]{summary}[/] {escape(name)}", soft_wrap=True)
    return enough
