"""`firewall policy check | test | ci`: policies load, do what their cases say, and are covered."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firewall.cli.coverage import AtLeast, covered
from firewall.cli.policies import Files, console, load, notes, problem, report

if TYPE_CHECKING:
    from firewall.policy import Policy

_FIRST_TESTS = 'cases: [{https: "GET https://example.com/", expect: deny}]'

Places = Annotated[
    list[Path] | None, typer.Argument(help="Policy files, or folders of them (default: this one).")
]


def check(files: Files) -> None:
    """Load policies and report every problem with file, line and what to write."""
    results = [checked(name) for name in files]
    raise typer.Exit(0 if all(results) else 1)


def test(files: Files) -> None:
    """Run the cases in X.test.yaml beside each policy X.yaml."""
    results = [tested(name) for name in files]
    raise typer.Exit(0 if all(results) else 1)


def ci(places: Places = None, *, at_least: AtLeast = 100) -> None:
    """Check, test and cover every policy of a repository: what a commit hook and a CI job run."""
    files = [file for place in places or [Path()] for file in _policies(place)]
    if not files:
        problem("no policies here; name the folder where they are")
        raise typer.Exit(1)
    results = [
        checked(name) and tested(name) and covered(name, at_least) for name in map(str, files)
    ]
    raise typer.Exit(0 if all(results) else 1)


def _policies(place: Path) -> list[Path]:
    """The policy files of a folder and those below it, or the file itself."""
    if place.is_file():
        return [place]
    found = (
        path
        for path in place.rglob("*.yaml")
        if not any(part.startswith(".") for part in path.relative_to(place).parts)
    )
    return sorted(path for path in found if not path.name.endswith(".test.yaml"))


def checked(name: str) -> bool:
    """Whether a policy loads; every problem of it is told."""
    from rich.markup import escape

    policy = load(name)
    if policy is None:
        return False
    resolved = policy.resolved
    count = sum(len(each.rules) for each in (resolved, resolved.shell, resolved.tools))
    console().print(
        f"[green]ok[/] {escape(name)}: {count} rules, sha256 {policy.digest}", soft_wrap=True
    )
    notes(policy)
    _expiring(policy)
    return True


def tested(name: str) -> bool:
    """Whether a policy does what its cases say; those that fail are told."""
    from rich.markup import escape

    from firewall.cli.reader import CommandReader
    from firewall.policy import PolicyError
    from firewall.policy.cases import run_cases
    from firewall.policy.loading import find

    policy = load(name)
    if policy is None:
        return False
    try:
        path = find(name).with_suffix(".test.yaml")
        if not path.exists():
            problem(f"{path}: there are no tests yet; write: {_FIRST_TESTS}")
            return False
        outcomes = list(run_cases(policy, path, CommandReader()))
    except PolicyError as error:
        report(error)
        return False
    failures = [each for each in outcomes if not each.right]
    for failure in failures:
        problem(str(failure))
    colour = "red" if failures else "green"
    passed = len(outcomes) - len(failures)
    console().print(
        f"[{colour}]{passed} of {len(outcomes)} cases pass[/] {escape(str(path))}", soft_wrap=True
    )
    return not failures


def _expiring(policy: "Policy") -> None:
    from rich.markup import escape

    from firewall.history import utc_day
    from firewall.policy.holding import expiring

    for each in expiring(policy.resolved.all_rules, date.fromisoformat(utc_day())):
        console().print(f"[yellow]warning[/] {escape(each)}", soft_wrap=True)
