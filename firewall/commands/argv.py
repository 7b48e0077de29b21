"""A command line as execve(2) gets it: the program, and what it runs in turn."""

from collections.abc import Sequence

from firewall.commands.intents import facts_of
from firewall.commands.reading import Reading
from firewall.requests import Command


def read_argv(argv: Sequence[str], directory: str = "") -> Reading:
    """Read one command line, looking through wrappers (env, timeout, `bash -c`). Never raises."""
    facts = facts_of(argv)
    command = Command(tuple(argv), (), directory, facts.intents, facts.reads, facts.writes)
    return Reading((command,), (), facts.findings)
