"""The parts of shell text, as POSIX XCU 2.9-2.10 and bash's parse.y name them.

A word is a row of pieces: its literal text, parameters, substitutions, and what only running can
tell. Commands form a tree of few kinds, because reading needs to know what can run and in which
order, not what comes of it.
"""

from dataclasses import dataclass
from typing import Literal

from firewall.frozen import frozen


class Unreadable(Exception):  # noqa: N818
    """Shell text that is not understood; `text` is where.

    `rejected`: every shell refuses it, so that nothing of its line runs.
    """

    def __init__(self, why: str, text: str = "", *, rejected: bool = False) -> None:
        super().__init__(why)
        self.why, self.text, self.rejected = why, text, rejected


@frozen
class Text:
    text: str
    quoted: bool = False


@frozen
class Parameter:
    """$name, ${name} or ${name[@]}; special parameters too."""

    name: str
    quoted: bool = False


@frozen
class Substitution:
    """A script that runs to make a word: `$()` and backticks, `<()`, `>()`."""

    script: "Script"
    kind: Literal["$()", "<()", ">()"] = "$()"
    quoted: bool = False


@frozen
class Unknown:
    """An expansion whose value is not computed; `inner` is what runs to make it.

    `arithmetic` is the text of arithmetic and subscripts, which the shell evaluates again.
    `splits`: it may become several words.
    """

    inner: tuple[Substitution, ...] = ()
    arithmetic: str = ""
    sets: str = ""
    splits: bool = False


type Piece = Text | Parameter | Substitution | Unknown


@frozen
class Word:
    pieces: tuple[Piece, ...]

    @property
    def bare(self) -> str | None:
        """The text of a word without any quoting or expansion, as reserved words are written."""
        only = self.pieces[0] if len(self.pieces) == 1 else None
        return only.text if isinstance(only, Text) and not only.quoted else None

    @property
    def splits(self) -> bool:
        """Whether an expansion in it may become several words (bash, "Word Splitting")."""
        return any(_splits(piece) for piece in self.pieces)


def _splits(piece: Piece) -> bool:
    match piece:
        case Parameter(name, quoted):
            return "@" in name or not quoted
        case Substitution(_, kind, quoted):
            return kind == "$()" and not quoted
    return isinstance(piece, Unknown) and piece.splits


@frozen
class Assignment:
    """name=value, name+=value, name[subscript]=value; an array's words are `words`."""

    name: str
    words: tuple[Word, ...]
    plain: bool
    subscript: Unknown | None = None
    array: bool = False


@frozen
class Redirect:
    """`operator` without descriptor. A here-document's target is its body."""

    operator: str
    target: Word
    descriptor: str = ""


@dataclass(slots=True)
class HereDocument:
    """A here-document whose body stands after the end of its line."""

    delimiter: str
    quoted: bool
    tabs: bool
    descriptor: str
    body: Word | None = None


@frozen
class Simple:
    assignments: tuple[Assignment, ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect | HereDocument, ...]
    text: str = ""


@frozen
class Pipeline:
    commands: tuple["Node", ...]
    errors_too: bool = False


@frozen
class Chain:
    """Commands joined by && and ||: all but the first may or may not run."""

    commands: tuple["Node", ...]


@frozen
class Compound:
    """What a compound command evaluates (`words`) and runs (`bodies`).

    `kind`: "group", "subshell", "if", "loop", "for", "case", "test", "arithmetic", "background".
    `name` is the variable of a for loop.
    """

    kind: str
    words: tuple[Word, ...] = ()
    bodies: tuple["Script", ...] = ()
    redirects: tuple[Redirect | HereDocument, ...] = ()
    name: str = ""


@frozen
class Function:
    name: str
    body: "Node"


type Node = Simple | Pipeline | Chain | Compound | Function


@frozen
class Script:
    commands: tuple[Node, ...]
