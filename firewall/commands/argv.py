"""A command line as execve(2) gets it: the program, and what it runs in turn."""

from collections.abc import Sequence

from firewall.commands.reading import Reading


def read_argv(argv: Sequence[str], directory: str = "") -> Reading:
    """Read one command line, looking through wrappers (env, timeout, `bash -c`). Never raises.

    No shell looks at the words first: patterns and substitutions mean nothing here. What the
    program would read from its standard input is not known, and not part of the words.
    """
    from firewall.commands.reader import Reader, guarded

    reader = Reader()
    with guarded(reader, " ".join(argv[:8])):
        reader.read_words(list(argv), reader.scope(directory), ())
    return reader.reading()
