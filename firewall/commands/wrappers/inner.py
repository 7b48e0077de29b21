"""What a command runs in turn."""

from collections.abc import Sequence
from dataclasses import dataclass

type Words = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Run:
    """A command line. `directory` is where, if it is somewhere else; `via` through what."""

    words: Words
    via: str
    directory: str | None = None
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Shell:
    """Shell text; None where only running can tell it. `elsewhere`: on another machine."""

    text: str | None
    via: str
    directory: str | None = None
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    """Shell text that the command reads from its standard input."""

    via: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """Something runs, and the words do not tell what."""

    why: str


type Inner = Run | Shell | Input | Hidden
