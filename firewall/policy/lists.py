"""Lists of names: reading them, and finding what a host is on.

A list is a text file with a name a line, as people keep and publish them; "#" begins a comment, and
hosts(5) lines ("0.0.0.0 name") are taken too. A name stands for its registrable domain and all that
is below it, because pools and brokers move among the hosts of theirs; "=name" for itself and what
is below it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from firewall.domains import is_registry, registrable
from firewall.frozen import frozen
from firewall.policy.errors import Fault, PolicyError, Problem
from firewall.policy.hosts import normalise, parse_name
from firewall.policy.resolved import ResolvedList

_SINKS = {"0.0.0.0", "127.0.0.1", "::", "::1"}
"""What hosts(5) lists lead names to."""

_OWN = {"localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0"}
"""Names that such lists define for the machine itself."""

LIMIT = 1_000_000
"""Lines of a list."""


def read_list(path: Path, guard: str) -> ResolvedList:
    """Read a list. Raises PolicyError with every line that is none."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise PolicyError([Problem(str(path), 1, f"cannot be read: {error}", "a file")]) from None
    return parse_list(text, path, guard)


def parse_list(text: str, path: Path, guard: str) -> ResolvedList:
    """The same for what was read from `path`."""
    lines = text.splitlines()
    domains: dict[str, int] = {}
    problems = []
    for number, line in enumerate(lines[:LIMIT], 1):
        try:
            for domain in _domains(line):
                domains.setdefault(domain, number)
        except Fault as fault:
            problems.append(Problem(str(path), number, fault.what, fault.write))
    if problems:
        raise PolicyError(problems)
    return ResolvedList(name=path.name, path=str(path), guard=guard, domains=domains)


def _domains(line: str) -> Iterator[str]:
    words = line.partition("#")[0].split()
    if len(words) > 1 and words[0] in _SINKS:
        words = [word for word in words[1:] if word not in _OWN]
    elif len(words) > 1:
        raise Fault(f"{line.strip()!r} is more than a name", "one name a line")
    for word in words:
        yield _domain(word)


def _domain(word: str) -> str:
    """What an entry stands for: all names that end in it."""
    name = parse_name(normalise(word.removeprefix("=")))
    if is_registry(name) or "." not in name:
        raise Fault(f"{name} is no one's domain: it would cover strangers", "a name below it")
    return name if word.startswith("=") else registrable(name) or name


@frozen
class Entry:
    """The line that a name is on: whose guard it is for, what it says, and where it stands."""

    guard: str
    domain: str
    where: str


class Listed:
    """All lists of a policy, as one table of endings."""

    def __init__(self, lists: Iterable[ResolvedList]) -> None:
        self._entries: dict[str, Entry] = {}
        for each in lists:
            for domain, line in each.domains.items():
                entry = Entry(each.guard, domain, f"{each.name}:{line}")
                self._entries.setdefault(domain, entry)
        self._depth = max((domain.count(".") for domain in self._entries), default=-1) + 1

    def __bool__(self) -> bool:
        return bool(self._entries)

    def find(self, name: str) -> Entry | None:
        """The entry that a normalised name ends in; the longest where there are several."""
        if not self._depth:
            return None
        labels = name.rsplit(".", self._depth)
        for start in range(len(labels)):
            if entry := self._entries.get(".".join(labels[start:])):
                return entry
        return None
