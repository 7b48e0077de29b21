"""What is known at one place of a shell text: constants, functions, aliases, files, directory."""

import posixpath
from dataclasses import dataclass, field, replace

from firewall.commands.bash.syntax import (
    Chain,
    Compound,
    Function,
    Node,
    Pipeline,
    Script,
    Simple,
    Unknown,
    Word,
)

FILES = 64
"""Files whose texts are kept."""


@dataclass(slots=True)
class Scope:
    """`variables` holds those whose value is certain; `files` what was written before, None where
    only running can tell the text; `copies` what a file was copied, moved or linked from; `touched`
    every file that a command was told to write.

    `arguments` are the positional parameters, None where they are not known.
    """

    directory: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Node] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    files: dict[str, str | None] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    arguments: list[str | None] | None = None

    def copy(self) -> "Scope":
        """For a subshell, whose changes end with it; what it defines or writes may stay."""
        return replace(self, variables=dict(self.variables))

    def forget(self, names: set[str]) -> None:
        for name in names:
            self.variables.pop(name, None)
        if "1" in names:
            self.arguments = None

    def keep_common(self, other: "Scope") -> bool:
        """After what may or may not have run: only what is the same either way is known.

        True where all of it was the same.
        """
        before = self.variables, self.directory, self.arguments
        self.variables = {
            name: value
            for name, value in self.variables.items()
            if other.variables.get(name) == value
        }
        if self.directory != other.directory:
            self.directory = ""
        if self.arguments != other.arguments:
            self.arguments = None
        return before == (other.variables, other.directory, other.arguments)

    def enter(self, directory: str | None) -> None:
        """Change the directory, where it is literal."""
        self.directory = inside(self.directory, directory)

    def path(self, name: str) -> str:
        """A file as it is reached from here, where that is below a home ("~/.ssh")."""
        below = self.directory.startswith("~") and name[:1] not in ("/", "~")
        return posixpath.normpath(posixpath.join(self.directory, name)) if below else name

    def file(self, name: str) -> str | None:
        return self.files.get(posixpath.normpath(name))

    def write(self, name: str, text: str | None, *, append: bool) -> None:
        """Remember what a file now holds, or that it was written."""
        name = posixpath.normpath(name)
        known = self.files.get(name) if append else ""
        full = name not in self.files and len(self.files) >= FILES
        self.files[name] = None if text is None or known is None or full else known + text


def inside(base: str, directory: str | None) -> str:
    """`directory` as seen from `base`; "" where that is not known."""
    if not directory or directory[0] == "-" or (not base and directory[0] not in "/~"):
        return ""
    if directory[0] == "~":
        return posixpath.normpath(directory)
    return posixpath.normpath(posixpath.join(base, directory))


def names_set(node: Node | Script) -> set[str]:
    """Every variable that a piece of shell may assign, for loops and functions."""
    found: set[str] = set()
    todo: list[Node | Script] = [node]
    while todo:
        match todo.pop():
            case Script(commands) | Pipeline(commands) | Chain(commands):
                todo += commands
            case Compound() as compound:
                todo += compound.bodies
                found |= {compound.name} | _in_words(compound.words)
            case Function(_, body):
                todo.append(body)
            case Simple() as simple:
                found |= _in_simple(simple)
    return found


def _in_simple(simple: Simple) -> set[str]:
    words = {word.bare or "" for word in simple.words[1:]}
    if simple.words and simple.words[0].bare in {"shift", "set"}:
        words |= set("123456789")
    return {assigned.name for assigned in simple.assignments} | words | _in_words(simple.words)


def _in_words(words: tuple[Word, ...]) -> set[str]:
    return {piece.sets for word in words for piece in word.pieces if isinstance(piece, Unknown)}
