"""Options as most programs take them: getopt_long(3) with permutation."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Options:
    """A command line taken apart. `given` holds options with their values, "" where they have none;
    `rest` what is no option, in order."""

    given: tuple[tuple[str, str], ...] = ()
    rest: tuple[str, ...] = ()

    def values(self, *names: str) -> list[str]:
        """The values of these options, in order."""
        return [value for name, value in self.given if name in names]

    def has(self, *names: str) -> bool:
        return any(name in names for name, _ in self.given)


@dataclass(slots=True)
class _Taking:
    given: list[tuple[str, str]] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)


def take(
    arguments: Sequence[str], short: str = "", long: Collection[str] = (), *, stop: bool = False
) -> Options:
    """Take a command line apart.

    `short` lists the letters that take a value, `long` the options with two dashes (or one, where
    the program has such) that do. With `stop` the first word that is no option ends the options.
    """
    taking, waiting = _Taking(), deque(arguments)
    while waiting:
        word = waiting.popleft()
        if word == "--":
            taking.rest += waiting
            break
        if len(word) < 2 or word[0] != "-":
            taking.rest.append(word)
            if stop:
                taking.rest += waiting
                break
        elif word.startswith("--") or word in long or word.partition("=")[0] in long:
            _long(taking, word, waiting, long)
        else:
            _short(taking, word, waiting, short)
    return Options(tuple(taking.given), tuple(taking.rest))


def _long(taking: _Taking, word: str, waiting: deque[str], long: Collection[str]) -> None:
    name, equals, value = word.partition("=")
    if not equals and name in long and waiting:
        value = waiting.popleft()
    taking.given.append((name, value))


def _short(taking: _Taking, word: str, waiting: deque[str], short: str) -> None:
    """A cluster; the first letter that takes a value takes the rest of it, or the next word."""
    for at, letter in enumerate(word[1:], 2):
        if letter in short:
            value = word[at:] or (waiting.popleft() if waiting else "")
            taking.given.append((f"-{letter}", value))
            return
        taking.given.append((f"-{letter}", ""))
