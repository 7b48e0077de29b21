"""What is known at one place of a shell text: constants, functions, aliases, files, directory."""

import posixpath
from dataclasses import dataclass, field, replace

from firewall.commands.bash.expand import LENGTH
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

FILES, VERSIONS = 64, 8
"""Files of which texts are kept, and how many of each."""
_SET_BY_BASH = frozenset(
    {"_", "REPLY", "MAPFILE", "COPROC", "OPTARG", "OPTIND", "PWD", "OLDPWD", "BASH_REMATCH"}
    | {"RANDOM", "SRANDOM", "LINENO", "SECONDS", "BASHPID", "PPID", "UID", "EUID", "GROUPS"}
    | {"BASH_COMMAND", "BASH_SUBSHELL", "FUNCNAME", "DIRSTACK", "PIPESTATUS", "EPOCHSECONDS"}
)
"""Variables whose value is not what was assigned to them last (bash, "Shell Variables")."""

type Version = tuple[str, str | None]
"""A path, and what was written there; None where only running can tell it."""


@dataclass(slots=True)
class Scope:
    """`variables` holds those whose value is certain, an array's as "name[@]", each word with a
    zero byte behind it; `texts` the files whose text is.

    `files` is everything that was written before, by a file's name without its folder: which of
    several is meant may depend on the directory, and any of them may be. `copies` is what a file
    was copied, moved or linked from; `touched` every file that a command was told to write.

    `fixed` are variables to which assigning may do nothing, so that they are never known again.
    `arguments` are the positional parameters, None where they are not known. `splits`: words are
    split at blanks, as long as IFS is what it was.
    """

    directory: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Node] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    texts: dict[str, Version] = field(default_factory=dict)
    files: dict[str, list[Version]] = field(default_factory=dict)
    copies: dict[str, set[str]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    arguments: list[str | None] | None = None
    fixed: set[str] = field(default_factory=lambda: set(_SET_BY_BASH))
    splits: bool = True

    def copy(self) -> "Scope":
        """For a subshell, whose changes end with it; what it defines or writes may stay."""
        return replace(self, variables=dict(self.variables), texts=dict(self.texts))

    def assign(self, name: str, value: str) -> None:
        self.forget({name})
        if name not in self.fixed:
            self.variables[name] = value
        if name == "IFS":
            self.splits = set(value) == set(" \t\n")

    def array(self, name: str) -> list[str] | None:
        """The words of "name[@]", where they are known; None for what is no array."""
        value = self.variables.get(name) if name.endswith("[@]") else None
        return None if value is None else value.split("\0")[:-1]

    def fill(self, name: str, words: list[str | None], *, append: bool) -> None:
        """Assign words to an array. Where one is not known, or a pattern, none of them is."""
        before = self.array(f"{name}[@]") if append else []
        self.forget({name})
        if before is None or name in self.fixed or not all(type(word) is str for word in words):
            return
        whole = [*before, *words]
        value = "".join(f"{word}\0" for word in whole)
        if len(value) <= LENGTH:
            self.variables[f"{name}[@]"] = value
            if whole:
                self.variables[name] = whole[0] or ""

    def fresh(self) -> "Scope":
        """For another shell, or a later time: which variables it has there is not known."""
        return replace(
            self, variables={"HOME": "~"}, arguments=None, texts=dict(self.texts), splits=True
        )

    def forget(self, names: set[str]) -> None:
        for name in names:
            self.variables.pop(name, None)
            self.variables.pop(f"{name}[@]", None)
        self.splits = self.splits and "IFS" not in names
        if "1" in names:
            self.arguments = None

    def keep_common(self, other: "Scope") -> bool:
        """After what may or may not have run: only what is the same either way is known.

        True where all of it was the same.
        """
        before = self.variables, self.texts, self.directory, self.arguments
        self.splits = self.splits and other.splits
        self.variables = dict(self.variables.items() & other.variables.items())
        self.texts = dict(self.texts.items() & other.texts.items())
        if self.directory != other.directory:
            self.directory = ""
        if self.arguments != other.arguments:
            self.arguments = None
        return before == (other.variables, other.texts, other.directory, other.arguments)

    def enter(self, directory: str | None) -> None:
        """Change the directory, where it is literal."""
        self.directory = inside(self.directory, directory)
        self.texts.clear()

    def path(self, name: str) -> str:
        """A file as it is reached from here, where that is below a home ("~/.ssh")."""
        below = self.directory.startswith("~") and name[:1] not in ("/", "~")
        return posixpath.normpath(posixpath.join(self.directory, name)) if below else name

    def file(self, name: str) -> str | None:
        """The text of a file, where it is certain that this is what it now holds."""
        path = posixpath.normpath(name)
        version = self.texts.get(path)
        newest = self.files.get(posixpath.basename(path), [None])[-1]
        return version[1] if version and version is newest else None

    def written(self, name: str) -> list[str | None]:
        """All that a file of this name may hold of what was written here; [] where nothing was."""
        base = posixpath.basename(posixpath.normpath(name))
        return list(dict.fromkeys(text for _, text in self.files.get(base, ())))

    def write(self, name: str, text: str | None, *, append: bool = False) -> None:
        """Remember what a file now holds; what it held before this text is the project's own."""
        path = posixpath.normpath(name)
        self.touched.add(path)
        certain = not append or self.file(name) is not None
        versions = self.files.setdefault(posixpath.basename(path), [])
        before = versions[-1][1] if append and versions else ""
        text = None if text is None or before is None else before + text
        if len(self.files) > FILES or len(versions) > VERSIONS:
            text = None
        if before and before.endswith("\n"):
            versions.pop()
        self.texts[path] = version = path, text
        versions.append(version)
        if not certain:
            del self.texts[path]


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
