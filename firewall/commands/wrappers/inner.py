"""What a command runs in turn."""

from collections.abc import Callable, Sequence

from firewall.frozen import frozen

type Words = Sequence[str | None]


@frozen
class Run:
    """A command line. `directory` is where, if it is somewhere else; `via` through what."""

    words: Words
    via: str
    directory: str | None = None
    elsewhere: bool = False


@frozen
class Shell:
    """Shell text; None where only running can tell it. `elsewhere`: on another machine."""

    text: str | None
    via: str
    directory: str | None = None
    elsewhere: bool = False


@frozen
class Input:
    """Shell text that the command reads from its standard input, or what `read` finds in it."""

    via: str
    read: "Callable[[str], Sequence[Inner] | None] | None" = None


@frozen
class Hidden:
    """Something runs, and the words do not tell what."""

    why: str


type Inner = Run | Shell | Input | Hidden
