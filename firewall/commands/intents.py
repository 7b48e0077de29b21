"""What one simple command is about to do: its intents, its findings and the files it names."""

from collections.abc import Sequence
from functools import lru_cache

from firewall.commands.inspect import inspect_argv, program_of
from firewall.commands.programs import read
from firewall.frozen import frozen
from firewall.requests import Finding, Intent


@frozen
class Facts:
    """What the words of one command tell. `reads` and `writes` are files that it names."""

    intents: tuple[Intent, ...] = ()
    findings: tuple[Finding, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def facts_of(words: Sequence[str | None]) -> Facts:
    """Read a program and its arguments; None is a word that only running can tell. Never raises."""
    return _facts(tuple(word if word is not None else "" for word in words))


@lru_cache(maxsize=1024)
def _facts(words: tuple[str, ...]) -> Facts:
    if not words or not words[0]:
        return Facts()
    findings = inspect_argv(words)
    told = read(*program_of(words))
    both = tuple(dict.fromkeys((*findings, *told.findings)))
    intents = (*told.intents, *_of_findings(both, told.intents))
    return Facts(intents, both, _files(told.reads), _files(told.writes))


def _of_findings(findings: Sequence[Finding], told: Sequence[Intent]) -> list[Intent]:
    """Findings as intents, so that rules can name them; those of ssh are told more exactly."""
    known = {each.name.partition(".")[0] for each in told}
    found: list[Intent] = []
    for each in findings:
        if each.kind == "mining":
            found.append(Intent("mining", each.name, each.evidence))
        elif each.kind == "tunnel" and not known & {"ssh", "tunnel", "reverse-shell"}:
            found.append(Intent("tunnel", each.name, each.evidence))
    return found


def _files(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in names if each))
