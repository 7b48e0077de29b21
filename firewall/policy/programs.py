"""Rules about programs: what a shell text would run, and what execve(2) is asked to run.

A deny or an ask holds where it may hold: a word that only running can tell could be any. An allow
holds only where all is known, and by what cannot be chosen freely: a program is what its file is,
not what it calls itself.
"""

import json
from collections.abc import Mapping
from collections.abc import Sequence as Several
from itertools import groupby
from posixpath import normpath

from firewall.deeds import Deed, Past, resolve, runs
from firewall.policy.acts import ExactRun
from firewall.policy.globs import Glob, literal
from firewall.policy.holding import NO_LABELS
from firewall.policy.resolved import ResolvedProgramRule, ResolvedShell
from firewall.policy.rulings import ActRule, Ruling, Section, weigh
from firewall.requests import Command, Execute, Intent, Opaque
from firewall.verdict import Action

SYSTEM = ("/bin/", "/sbin/", "/lib/", "/lib64/", "/usr/", "/opt/", "/nix/", "/snap/")
"""Where a file has to be for an allow to know it by its base name, unless `execute-from` says."""

_SHOWN = 200
"""Characters of a command in a reason."""


class Run:
    """One program that is run, as rules see it.

    `names` and `paths` are all it may be known by; `own` are the paths of the files that run,
    none where a shell would look for the program. `digest` is None where there is no file yet.
    """

    __slots__ = ("_words", "command", "digest", "directory", "names", "own", "paths")

    def __init__(
        self, command: Command, paths: tuple[str, ...], own: tuple[str, ...], digest: str | None
    ) -> None:
        self.command = command
        self.paths, self.own, self.digest = paths, own, digest
        word = command.words[0] if command.words else None
        names = (*paths, word) if word else paths
        self.names = tuple(dict.fromkeys([name.rpartition("/")[2] for name in names]))
        self.directory = command.directory if command.directory.startswith("/") else ""

    @property
    def arguments(self) -> Several[str | None]:
        return self.command.words[1:]

    @property
    def known(self) -> bool:
        """Whether every word is known."""
        return None not in self.command.words

    @property
    def intents(self) -> tuple[Intent, ...]:
        return self.command.intents

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are run."""
        return (*self.own, *runs(self.command))

    def __str__(self) -> str:
        text = " ".join("…" if word is None else word for word in self.command.words)
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def run_of(command: Command) -> Run:
    """A command of a shell text, or one that a program runs in turn."""
    word = command.words[0] if command.words else None
    if word is None or "/" not in word:
        return Run(command, (), (), None)
    path = resolve(word, command.directory)
    return Run(command, (path,), (path,), None)


def runs_of(request: Execute) -> list[Run]:
    """What execve(2) is asked to run, and what that runs in turn."""
    first, *inner = request.commands or (Command(request.argv, (), request.directory),)
    own = tuple([path for path in (request.path, request.script) if path])
    words = (*request.argv[:1], *first.words[:1])
    called = [resolve(word, request.directory) for word in words if word and word not in own]
    known = Command(
        request.argv or (request.path,),
        directory=request.directory,
        intents=first.intents,
        reads=first.reads,
        writes=first.writes,
    )
    head = Run(known, (*own, *called), own, request.digest)
    return [head, *map(run_of, inner)]


class ProgramRule(ActRule[ResolvedProgramRule, Run]):
    """A compiled rule of `shell.rules`."""

    __slots__ = (
        "_arguments", "_digests", "_directories", "_exactly", "_folders", "_intents", "_lasts",
        "_names", "_paths",
    )  # fmt: skip

    def __init__(
        self, document: ResolvedProgramRule, folders: tuple[str, ...], labels: Mapping[str, str]
    ) -> None:
        super().__init__(document, labels)
        programs = document.programs
        self._names = None if programs is None else [Glob(p) for p in programs if "/" not in p]
        self._paths = [Glob(path) for path in programs or () if "/" in path]
        self._lasts = [Glob(path.text.rpartition("/")[2]) for path in self._paths]
        self._arguments = [Glob(text) for text in document.arguments]
        self._intents = frozenset(document.intents)
        self._directories = [Glob(text.rstrip("/") + "/*") for text in document.directories]
        self._digests = frozenset(document.digests)
        self._exactly = document.exactly
        self._folders = folders

    def names(self) -> list[str] | None:
        """The base names that the rule is found by; None for any."""
        programs = self.document.programs
        return None if programs is None else [each.rpartition("/")[2] for each in programs]

    def miss(self, run: Run, *, certain: bool = True) -> str:
        """The first key of the rule that does not fit, but for `after`; "" where all do."""
        if self._names is not None and not self._fits_program(run, certain):
            return "programs"
        if self._digests and not self._fits_digest(run, certain):
            return "digests"
        if self._intents and not self._fits_intents(run, certain):
            return "intents"
        if self._arguments and not self._fits_arguments(run, certain):
            return "arguments"
        if self._directories and not self._fits_directory(run, certain):
            return "directories"
        exact = self._exactly is None or _is(run, self._exactly)
        return "" if exact else "exact arguments and folder"

    def _fits_program(self, run: Run, certain: bool) -> bool:
        if certain:
            return self._is_program(run)
        names = any(glob.matches(name) for glob in self._names or () for name in run.names)
        if names or not self._paths:
            return names
        if run.paths:
            return any(glob.matches(path) for glob in self._paths for path in run.paths)
        return any(glob.matches(name) for glob in self._lasts for name in run.names)

    def _is_program(self, run: Run) -> bool:
        if not run.own:
            return any(glob.matches(name) for glob in self._names or () for name in run.names)
        near = [path.rpartition("/")[2] for path in run.own if path.startswith(self._folders)]
        return any(glob.matches(name) for glob in self._names or () for name in near) or any(
            glob.matches(path) for glob in self._paths for path in run.own
        )

    def _fits_digest(self, run: Run, certain: bool) -> bool:
        """A digest is known at the exec gate alone; there, one that was not read may be any."""
        if run.digest is None:
            return False
        return run.digest in self._digests or (not run.digest and not certain)

    def _fits_intents(self, run: Run, certain: bool) -> bool:
        fitting = [
            intent.name in self._intents or intent.name.partition(".")[0] in self._intents
            for intent in run.intents
        ]
        if certain:
            return run.known and bool(fitting) and all(fitting)
        return any(fitting)

    def _fits_arguments(self, run: Run, certain: bool) -> bool:
        if run.known:
            text = " ".join(word for word in run.arguments if word is not None)
            return any(glob.matches(text) for glob in self._arguments)
        if certain:
            return False
        pieces = _pieces(run.arguments)
        return any(glob.may_match(pieces) for glob in self._arguments)

    def _fits_directory(self, run: Run, certain: bool) -> bool:
        if not run.directory:
            return not certain
        place = run.directory.rstrip("/") + "/"
        return any(glob.matches(place) for glob in self._directories)


def _is(run: Run, exact: ExactRun) -> bool:
    here = exact.directory is None or normpath(exact.directory) == normpath(run.directory)
    return here and [*run.arguments] == exact.arguments


def _pieces(words: Several[str | None]) -> list[str]:
    """The known texts between unknown words, which may turn out to be none or several words."""
    known = [(is_known, list(each)) for is_known, each in groupby(words, lambda w: w is not None)]
    pieces = [" ".join(word or "" for word in each) for is_known, each in known if is_known]
    before = [] if known and known[0][0] else [""]
    after = [] if known and known[-1][0] else [""]
    return [*before, *pieces, *after]


class Programs(Section[ProgramRule, Run]):
    """All that a policy says about programs."""

    def __init__(
        self, shell: ResolvedShell, file: str, labels: Mapping[str, str] = NO_LABELS
    ) -> None:
        folders = tuple(each.rstrip("/") + "/" for each in shell.execute_from) or SYSTEM
        rules = [ProgramRule(rule, folders, labels) for rule in shell.rules]
        super().__init__(rules, shell.default)
        self._shell = shell
        self._file = file
        self._source = shell.default_source or file
        self._unnamed = Ruling(
            weigh(Action.ALLOW, 1),
            Action.ALLOW,
            "shell.default",
            "no rule names what is run: what it reaches is judged where it reaches it",
            source=self._source,
        )

    def judge(self, run: Run, past: Past, own: Several[Deed] = ()) -> Ruling:
        """What is made of one program; where it is not known which, what is opaque counts too."""
        ruling = super().judge(run, past, own)
        if not run.names:
            return max(ruling, self.opaque([Opaque(_UNKNOWN, str(run))]))
        return ruling

    def _what(self, rule: ProgramRule, run: Run) -> str:
        return _through(run)

    def _by_default(self, run: Run, near: Several[ProgramRule]) -> Ruling:
        """The default, which tells what the nearest allow lacks."""
        action = self._default
        if action is Action.ALLOW:
            return self._unnamed
        reason = f"no rule allows {_through(run)}, and shell.default is {action}"
        remedy = self._addition(run)
        for rule in near:
            lack = rule.miss(run) if rule.allows and not rule.document.exactly else ""
            if lack:
                reason += f"; the {lack} of rule {rule.document.name} do not fit"
            if lack == "arguments" and run.known:
                words = json.dumps(_literal(run), ensure_ascii=False)
                remedy = f"add {words} to arguments of rule {rule.document.name}"
                remedy += f" ({rule.document.source})"
        return Ruling(weigh(action, 1), action, "shell.default", reason, remedy, self._source)

    def _addition(self, run: Run) -> str:
        """The rule that would allow it; "" where the program is not known."""
        if not run.names:
            return ""
        inside = run.own and not run.own[0].startswith(SYSTEM)
        program = run.own[0] if inside else run.names[0]
        parts = [f"name: {_slug(run.names[0])}", f"allow: [{json.dumps(program)}]"]
        text = _literal(run)
        if run.known and 0 < len(text) <= _SHOWN:
            parts.append(f"arguments: [{json.dumps(text, ensure_ascii=False)}]")
        return f"add to shell.rules: {{{', '.join(parts)}}} ({self._file})"

    def opaque(self, pieces: Several[Opaque]) -> Ruling:
        """What is made of shell text that could not be read."""
        first = pieces[0]
        excerpt = f" ({first.text[:_SHOWN]})" if first.text else ""
        what = f"it cannot be told what this runs: {first.why}{excerpt}"
        source = self._shell.opaque_source or self._file
        if self._shell.opaque == "leave-to-exec-gate":
            reason = f"{what}; the exec gate judges each program that it starts"
            weight = weigh(Action.ALLOW, 1)
            return Ruling(weight, Action.ALLOW, "shell.opaque", reason, source=source)
        action = Action(self._shell.opaque)
        remedy = "write the command plainly, one that needs no running to be read; or shell:"
        remedy += f" {{opaque: leave-to-exec-gate}} ({source})"
        reason = f"{what}, and shell.opaque is {action}"
        return Ruling(weigh(action, 2), action, "shell.opaque", reason, remedy, source)


_UNKNOWN = "only running can tell which program it is"


def _through(run: Run) -> str:
    via = run.command.via
    return f"{run} (run through {', '.join(via)})" if via else str(run)


def _literal(run: Run) -> str:
    """A glob that is the arguments of a run, and nothing else."""
    return literal(" ".join(word or "" for word in run.arguments))


def _slug(name: str) -> str:
    plain = "".join(each if each.isascii() and each.isalnum() else "-" for each in name.lower())
    return plain.strip("-") or "program"
