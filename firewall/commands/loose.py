"""Words that may become options of programs whose options decide what they do."""

from collections.abc import Sequence

from firewall.commands.bash.expand import Pattern
from firewall.commands.bash.syntax import Word
from firewall.commands.wrappers.unwrap import program
from firewall.requests import Command

_DECIDED_BY_OPTIONS = frozenset(
    {"ssh", "slogin", "autossh", "scp", "sftp", "mosh", "sshfs", "plink", "dbclient", "sshuttle"}
    | {"rsync", "git", "tar", "bsdtar", "zip", "find", "curl", "wget", "socat"}
)
"""One option more, and they forward a port, start a program or send a file."""


def is_loose(word: Word, fields: Sequence[str | None]) -> bool:
    """Whether words that begin with a dash may come of it, which its text does not tell."""
    if None in fields:
        return word.splits
    return any(isinstance(field, Pattern) and field[0] in "*?[-" for field in fields)


def decided_by_options(commands: Sequence[Command]) -> str:
    """The first program that loose words were given to and that options decide; "" for none."""
    names = (program(command.words) for command in commands if _is_unsure(command.words))
    return next((name for name in names if name in _DECIDED_BY_OPTIONS), "")


def _is_unsure(words: Sequence[str | None]) -> bool:
    return any(word is None or word[:1] in ("*", "?", "[") for word in words)
