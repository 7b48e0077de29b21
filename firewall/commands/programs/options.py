"""Options as most programs take them: getopt_long(3) with permutation."""

from collections.abc import Collection, Iterator, Sequence

from firewall.frozen import frozen


@frozen
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


def take(
    arguments: Sequence[str], short: str = "", long: Collection[str] = (), *, stop: bool = False
) -> Options:
    """Take a command line apart, in time that grows with its length alone.

    `short` lists the letters that take a value, `long` the options with two dashes (or one, where
    the program has such) that do. With `stop` the first word that is no option ends the options.
    """
    given: list[tuple[str, str]] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for word in waiting:
        if word == "--":
            rest.extend(waiting)
        elif len(word) < 2 or word[0] != "-":
            rest.append(word)
            if stop:
                rest.extend(waiting)
        elif word[1] == "-" or word.partition("=")[0] in long:
            given.append(_long(word, waiting, long))
        else:
            given.extend(_short(word, waiting, short))
    return Options(tuple(given), tuple(rest))


def _long(word: str, waiting: Iterator[str], long: Collection[str]) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals and name in long:
        value = next(waiting, "")
    return name, value


def _short(word: str, waiting: Iterator[str], short: str) -> Iterator[tuple[str, str]]:
    """A cluster; the first letter that takes a value takes the rest of it, or the next word."""
    for at, letter in enumerate(word[1:], 2):
        if letter in short:
            yield f"-{letter}", word[at:] or next(waiting, "")
            return
        yield f"-{letter}", ""
