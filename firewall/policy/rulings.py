"""What rules about programs and tools come to: the strictest one, and its words for people."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from firewall.policy.acts import Choice
from firewall.policy.globs import Glob, is_plain
from firewall.verdict import Action

STRICTNESS: dict[Action, int] = {Action.ALLOW: 0, Action.ASK: 1, Action.DENY: 2}
DOES: dict[str, str] = {"allow": "allows", "ask": "asks a person about", "deny": "denies"}


class Ruling(NamedTuple):
    """What is made of one program or tool. `weight` decides which of several stands: the strictest,
    and of equals the one that a rule says."""

    weight: int
    action: Action
    rule: str
    reason: str
    remedy: str = ""
    source: str = ""


def weigh(action: Action, rank: int) -> int:
    """The weight of a ruling. `rank` tells rules (2) from what is said of shell text (1) and of
    tools (0) that no rule names."""
    return STRICTNESS[action] * 3 + rank


def order(action: Choice, name: str) -> tuple[int, str]:
    """What rules are tried by: the strictest first, then by name, never by place in the file."""
    return -STRICTNESS[Action(action)], name


class Named[R]:
    """Rules by the names they are for, so that most are never looked at.

    `names` gives the globs that a rule is found by; None is for rules about anything.
    """

    def __init__(self, rules: Iterable[R], names: Callable[[R], Iterable[str] | None]) -> None:
        self._plain: dict[str, list[R]] = {}
        self._globs: list[tuple[Glob, R]] = []
        self.any: list[R] = []
        for rule in rules:
            found = names(rule)
            if found is None:
                self.any.append(rule)
            for name in dict.fromkeys(found or ()):
                if is_plain(name):
                    self._plain.setdefault(name, []).append(rule)
                else:
                    self._globs.append((Glob(name), rule))

    def find(self, names: Sequence[str]) -> list[R]:
        """The rules for any of these names, and those about anything; some twice."""
        found = list(self.any)
        for name in names:
            found += self._plain.get(name, ())
            found += [rule for glob, rule in self._globs if glob.matches(name)]
        return found
