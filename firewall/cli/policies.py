"""What the commands on policies share: a policy that loads, or every problem with it."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from firewall.policy import Policy, PolicyError

Files = Annotated[list[str], typer.Argument(help="Policy files, or names of presets.")]
PolicyName = Annotated[str, typer.Argument(metavar="POLICY", help="A file, or a preset's name.")]


def load(name: str, labels: Iterable[str] = ()) -> "Policy | None":
    """The policy for a run with these labels; None where it is wrong, which is told. Exit status 2
    where the labels are."""
    from firewall.policy import PolicyError, load_policy
    from firewall.policy.bundle import ANYTHING

    try:
        return load_policy(name, labels_of(labels), trust=ANYTHING)
    except PolicyError as error:
        report(error)
        return None


def loaded(name: str, labels: Iterable[str] = ()) -> "Policy":
    """The policy for a run with these labels; exit status 1 where it is wrong, which is told."""
    policy = load(name, labels)
    if policy is None:
        raise typer.Exit(1)
    return policy


def labels_of(texts: Iterable[str]) -> dict[str, str]:
    """The labels of a run, each "NAME=VALUE"; exit status 2 where one is wrong, which is told."""
    from firewall.policy.holding import parse_labels

    try:
        return parse_labels(texts)
    except ValueError as error:
        problem(str(error))
        raise typer.Exit(2) from None


def report(error: "PolicyError") -> None:
    """Tell every problem of a policy."""
    for each in error.problems:
        problem(str(each))


def problem(text: str) -> None:
    """Errors go to stderr unstyled and unwrapped, so that editors can find file and line."""
    sys.stderr.write(text + "\n")


def notes(policy: "Policy") -> None:
    """Tell what people should know about a policy."""
    from rich.markup import escape

    for note in policy.notes:
        console().print(f"[yellow]note[/] {escape(note)}", soft_wrap=True)


def console() -> "Console":
    """Where results go: as they are, with nothing in them taken for an emoji's name."""
    from rich.console import Console

    return Console(highlight=False, emoji=False)
