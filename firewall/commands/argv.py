"""A command line as execve(2) gets it: the program, and what it runs in turn."""

from collections.abc import Sequence

from firewall.commands.bash.scope import Scope
from firewall.commands.reader import Reader
from firewall.commands.reading import Reading
from firewall.commands.record import ExhaustedError


def read_argv(argv: Sequence[str], directory: str = "") -> Reading:
    """Read one command line, looking through wrappers (env, timeout, `bash -c`). Never raises.

    No shell looks at the words first: builtins and patterns mean nothing here. What a shell would
    read from its standard input is not known, and not asked for: it is not part of the words.
    """
    reader = Reader()
    try:
        reader.read_words(list(argv), Scope(directory), ())
    except ExhaustedError:
        reader.hide("it takes too long to read", " ".join(argv))
    except Exception as error:  # whatever goes wrong, the command line counts as not understood
        reader.hide(f"reading failed: {type(error).__name__}", " ".join(argv))
    return reader.reading()
