"""Programs that start another one given after their own options, by their option strings.

Key: the program, or the program and its subcommand. Where a version differs from another, the
longer list stands: an option missing here makes the command opaque, not wrong.
"""

from firewall.commands.wrappers.options import Grammar
from firewall.frozen import frozen


@frozen
class Wrapper:
    """`skip` words stand before the command, `assigns` lets assignments stand there as well.

    `texts` are options whose value is shell text.
    `joined`: the words are joined for a shell. `directory` is the option that changes it.
    `starts_shell`: without a command it starts a shell. `elsewhere`: it runs somewhere else.
    `loose`: options unknown here are flags, for programs with too many of them for a table.
    """

    options: Grammar
    skip: int = 0
    assigns: bool = False
    texts: tuple[str, ...] = ()
    directory: tuple[str, ...] = ()
    joined: bool = False
    starts_shell: bool = False
    elsewhere: bool = False
    loose: bool = False


def wrapper(short: str = "", long: str = "", *, single: bool = False, **more: object) -> Wrapper:
    return Wrapper(Grammar(short, long, single), **more)  # type: ignore[arg-type]
