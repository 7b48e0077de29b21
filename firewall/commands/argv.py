"""A command line as execve(2) gets it: the program, and what it runs in turn."""

from collections.abc import Sequence
from functools import lru_cache

from firewall.commands.reading import Reading

REMEMBERED_SIZE = 2048
"""Characters of a command line that is read only once: builds and loops repeat short ones."""


def read_argv(argv: Sequence[str], directory: str = "") -> Reading:
    """Read one command line, looking through wrappers (env, timeout, `bash -c`). Never raises.

    No shell looks at the words first: patterns and substitutions mean nothing here. What the
    program would read from its standard input is not known, and not part of the words.
    """
    words = tuple(argv)
    if sum(map(len, words)) > REMEMBERED_SIZE:
        return _read(words, directory)
    return _remembered(words, directory)


@lru_cache(maxsize=1024)
def _remembered(argv: tuple[str, ...], directory: str) -> Reading:
    return _read(argv, directory)


def _read(argv: tuple[str, ...], directory: str) -> Reading:
    from firewall.commands.reader import Reader
    from firewall.commands.record import guarded

    reader = Reader()
    with guarded(reader, " ".join(argv[:8])):
        reader.read_words(list(argv), reader.scope(directory), ())
    return reader.reading()
