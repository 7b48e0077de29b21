"""What one simple command is about to do: its intents, its findings and the files it names."""

from collections.abc import Sequence
from dataclasses import dataclass

from firewall.commands.inspect import inspect_argv
from firewall.requests import Finding, Intent


@dataclass(frozen=True, slots=True)
class Facts:
    """What the words of one command tell. `reads` and `writes` are files that it names."""

    intents: tuple[Intent, ...] = ()
    findings: tuple[Finding, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def facts_of(words: Sequence[str | None]) -> Facts:
    """Read a program and its arguments; None is a word that only running can tell."""
    return Facts(findings=inspect_argv([word or "" for word in words]))
