"""Option grammars of getopt(3) and getopt_long(3), as small as a table can hold them."""

from dataclasses import dataclass, field

from firewall.commands.wrappers.inner import Words
from firewall.frozen import frozen


@frozen
class Grammar:
    """`short` is getopt's string ("ab:c::"); `long` names long ones, "=" after those with a value.

    Options end at the first word that is none. Single dashes may start long options too (`-exec`)
    where `single` says so.
    """

    short: str = ""
    long: str = ""
    single: bool = False

    def takes(self, letter: str) -> str | None:
        """ "" for a flag, ":" for a value, "::" for an attached one; None for an unknown letter."""
        at = self.short.find(letter)
        if at < 0 or letter == ":":
            return None
        rest = self.short[at + 1 : at + 3]
        return rest if rest == "::" else rest[:1] if rest[:1] == ":" else ""

    def long_takes(self, name: str) -> bool | None:
        """Whether a long option, or the only one that it abbreviates, takes a value."""
        names = self.long.split()
        exact = [known for known in names if known.rstrip("=") == name]
        found = exact or [known for known in names if known.startswith(name)]
        takes = {known.endswith("=") for known in found}
        return takes.pop() if len(takes) == 1 else None


@dataclass(slots=True)
class Options:
    """What options said, in order, and the words after them. `unknown`: one is not in the table."""

    given: list[tuple[str, str | None]] = field(default_factory=list)
    rest: list[str | None] = field(default_factory=list)
    unknown: bool = False

    def values(self, *names: str) -> list[str | None]:
        return [value for name, value in self.given if name in names]

    def has(self, *names: str) -> bool:
        return any(name in names for name, _ in self.given)


def read_options(words: Words, grammar: Grammar) -> Options:
    """Read options up to the first other word. A word only running can tell may be an option."""
    found, rest = Options(), list(words)
    while rest and (word := rest[0]) is not None and word.startswith("-") and word != "-":
        rest.pop(0)
        if word == "--":
            break
        if word.startswith("--") or (grammar.single and len(word) > 2):
            _long(word.lstrip("-"), rest, grammar, found)
        else:
            _cluster(word[1:], rest, grammar, found)
    found.rest = rest
    return found


def _long(word: str, rest: list[str | None], grammar: Grammar, found: Options) -> None:
    name, equals, value = word.partition("=")
    takes = grammar.long_takes(name)
    found.unknown |= takes is None and not equals
    full = next(
        (known.rstrip("=") for known in grammar.long.split() if known.startswith(name)), name
    )
    name = name if name in {known.rstrip("=") for known in grammar.long.split()} else full
    if equals:
        found.given.append((name, value))
    else:
        found.given.append((name, rest.pop(0) if takes and rest else None if takes else ""))


def _cluster(letters: str, rest: list[str | None], grammar: Grammar, found: Options) -> None:
    for at, letter in enumerate(letters, 1):
        takes = grammar.takes(letter)
        found.unknown |= takes is None
        if takes:
            attached = letters[at:]
            separate = rest.pop(0) if takes == ":" and not attached and rest else None
            found.given.append((letter, attached or separate))
            return
        found.given.append((letter, ""))
