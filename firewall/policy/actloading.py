"""The resolved form of `shell:` and `tools:` of all files: rules add up, of other values the last
file that writes one decides."""

from collections.abc import Iterator, Sequence
from typing import Any

from firewall.policy.actchecks import placed_programs, placed_tools
from firewall.policy.acts import choice, named
from firewall.policy.checks import SourceFile
from firewall.policy.resolved import (
    ResolvedProgramRule,
    ResolvedShell,
    ResolvedToolRule,
    ResolvedTools,
)


def resolved_shell(files: Sequence[SourceFile]) -> ResolvedShell:
    """Everything about programs."""
    default, default_source = _last(files, "shell", "default")
    opaque, opaque_source = _last(files, "shell", "opaque")
    folders, _ = _last(files, "shell", "execute_from")
    return ResolvedShell(
        default=default or "allow",
        default_source=default_source,
        opaque=opaque or "leave-to-exec-gate",
        opaque_source=opaque_source,
        execute_from=tuple(folders or ()),
        rules=tuple(
            ResolvedProgramRule(
                name=each.rule.name,
                action=choice(each.rule),
                programs=named(each.rule),
                arguments=tuple(each.rule.arguments or ()),
                intents=tuple(each.rule.intents or ()),
                directories=tuple(each.rule.directories or ()),
                digests=tuple(each.rule.digests or ()),
                exactly=each.rule.exactly,
                after=each.rule.after,
                valid=each.rule.valid,
                labels=each.rule.wanted,
                owner=each.rule.owner,
                reason=each.rule.reason,
                source=each.where,
            )
            for each in placed_programs(files)
        ),
    )


def resolved_tools(files: Sequence[SourceFile]) -> ResolvedTools:
    """Everything about tools."""
    default, source = _last(files, "tools", "default")
    commands = {tool: name for each in files for tool, name in each.document.tools.commands.items()}
    return ResolvedTools(
        default=default or "allow",
        default_source=source,
        commands=commands,
        rules=tuple(
            ResolvedToolRule(
                name=each.rule.name,
                action=choice(each.rule),
                tools=named(each.rule),
                where=each.rule.where,
                exactly=each.rule.exactly,
                after=each.rule.after,
                valid=each.rule.valid,
                labels=each.rule.wanted,
                owner=each.rule.owner,
                reason=each.rule.reason,
                source=each.where,
            )
            for each in placed_tools(files)
        ),
    )


def shadowed(shell: ResolvedShell, tools: ResolvedTools) -> Iterator[str]:
    """Allows that change nothing, because what no rule names is allowed anyway. Exact ones, which
    beat what asks, are left out."""
    for section, each in (("shell", shell), ("tools", tools)):
        idle = [rule.name for rule in each.rules if rule.action == "allow" and not rule.exactly]
        if idle and each.default == "allow":
            yield (
                f"{', '.join(idle)}: an allow changes nothing where {section} allows what no rule"
                f" names; write {section}: {{default: deny}}"
            )


def _last(files: Sequence[SourceFile], section: str, key: str) -> tuple[Any, str]:
    """The value that the last file writes, and where; None and "" where none does."""
    for file in reversed(files):
        value = getattr(getattr(file.document, section), key)
        if value is not None:
            return value, file.where(section, key.replace("_", "-"))
    return None, ""
