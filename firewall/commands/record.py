"""What a reading found so far, and what it means that commands stand together."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from posixpath import normpath

from firewall.commands.bash.expand import Named, Pattern, literal
from firewall.commands.bash.scope import Scope
from firewall.commands.bash.syntax import Redirect, Simple
from firewall.commands.intents import facts_of
from firewall.commands.reading import Reading
from firewall.commands.sockets import CARRIERS, Sockets, host_of
from firewall.commands.wrappers.code import takes_code
from firewall.commands.wrappers.shells import is_shell
from firewall.commands.wrappers.unwrap import program
from firewall.requests import Command, Finding, Intent, Opaque

EXCERPT = 200

type Via = tuple[str, ...]


COPIES = frozenset({"cp", "mv", "ln", "install"})
"""Programs after which a file holds what another one held."""
_LEAVE = COPIES | {"touch"}

WORK = 20_000
"""Units of work for one reading; a hostile text ends with it after a fraction of a second."""


class ExhaustedError(Exception):
    """A text takes more work to read than any honest one."""


class Record:
    """Commands in the order they were found, what is opaque, and findings.

    `assigned` are all names that may have become a variable of the environment.
    """

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.opaque: list[Opaque] = []
        self.findings: list[Finding] = []
        self.assigned: set[str] = set()
        self._connections = Sockets()
        self._work = WORK

    def spend(self, cost: int) -> None:
        self._work -= cost
        if self._work < 0:
            raise ExhaustedError

    def reading(self) -> Reading:
        return Reading(
            tuple(self.commands),
            tuple(dict.fromkeys(self.opaque)),
            tuple(dict.fromkeys(self.findings)),
        )

    def hide(self, why: str, text: str = "") -> None:
        self.opaque.append(Opaque(why, text[:EXCERPT]))

    def tie(self, firsts: list[int]) -> None:
        """A shell beside a program that carries bytes to a host: a shell for who is there."""
        stages = [self.commands[first] for first in firsts if first < len(self.commands)]
        names = [program(stage.words) for stage in stages]
        for at, first in enumerate(firsts):
            others = [stage for stage, name in zip(stages, names, strict=True) if name in CARRIERS]
            if at < len(names) and is_shell(names[at]) and others:
                downloads = all(program(other.words) in {"curl", "wget"} for other in others)
                if not downloads:
                    self._add_intent(
                        first,
                        Intent(
                            "reverse-shell",
                            host_of(others[0].words),
                            "a shell joined to a connection",
                        ),
                    )
        self._tie_downloads(firsts)

    def _tie_downloads(self, firsts: list[int]) -> None:
        """A download that a shell or an interpreter, also behind sudo or env, takes as its code."""
        for first, end in itertools.pairwise([*firsts, len(self.commands)]):
            fetched = [
                intent
                for command in self.commands[firsts[0] : first]
                for intent in command.intents
                if intent.name == "download"
            ]
            for at in range(first, end) if fetched else ():
                name = program(self.commands[at].words)
                if is_shell(name) or takes_code(name, self.commands[at].words):
                    evidence = f"a download is run by {name}"
                    self._add_intent(at, Intent("remote-code", fetched[0].target, evidence))

    def _add_intent(self, index: int, intent: Intent) -> None:
        old = self.commands[index]
        self.commands[index] = Command(
            old.words, old.via, old.directory, (*old.intents, intent), old.reads, old.writes
        )

    def note_sockets(self, node: Simple, words: Sequence[str | None]) -> None:
        ties = [
            literal(r.target, {}, _nothing) or "" for r in node.redirects if isinstance(r, Redirect)
        ]
        fds = [r.descriptor.strip("{}") for r in node.redirects if isinstance(r, Redirect)]
        host = self._connections.note(words, fds, ties)
        shell = words[0] is None or is_shell(program(words)) or program(words) == "eval"
        if host and shell and self.commands:
            self._add_intent(
                len(self.commands) - 1,
                Intent("reverse-shell", host, "a shell tied to a connection"),
            )

    def record(
        self,
        words: Sequence[str | None],
        scope: Scope,
        via: Via,
        reads: Sequence[str],
        writes: Sequence[str],
        text: str | None = None,
    ) -> None:
        """`text` is what it writes into the files that its words name."""
        plain = tuple(
            [
                None if word is None or (at and isinstance(word, Named)) else str(word)
                for at, word in enumerate(words)
            ]
        )
        facts = facts_of(plain)
        self.findings += facts.findings
        if any(isinstance(word, Pattern) and word.hides and word in facts.reads for word in words):
            self.hide("which hidden file is read is only known when it runs")
        scope.touched.update(map(normpath, facts.writes))
        if facts.writes and program(words) not in _LEAVE:
            for name in facts.writes:
                scope.write(name, text)
        self.commands.append(
            Command(
                plain,
                via,
                "" if scope.directory.startswith("~") else scope.directory,
                facts.intents,
                tuple(map(scope.path, (*facts.reads, *reads))),
                tuple(map(scope.path, (*facts.writes, *writes))),
            )
        )


@contextmanager
def guarded(record: Record, excerpt: str) -> Iterator[None]:
    """Whatever goes wrong while reading, what was read counts as not understood."""
    try:
        yield
    except ExhaustedError:
        record.hide("it takes too long to read", excerpt)
    except Exception as error:
        record.hide(f"reading failed: {type(error).__name__}", excerpt)


def _nothing(piece: object) -> None:
    return None
