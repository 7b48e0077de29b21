"""A person's consent as a rule of the policy: the change to its text, and that it takes effect.

What is granted is what was asked, and no more: an allow with `exactly`, the only one that beats an
ask. What asks stays as it is, in whichever file it stands.
"""

import difflib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firewall.cli import yamledit
from firewall.commands import read_argv
from firewall.frozen import frozen
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.bundle import ANYTHING
from firewall.policy.cases import judge
from firewall.policy.globs import literal
from firewall.policy.loading import PRESETS
from firewall.policy.programs import Programs, Run, run_of, runs_of
from firewall.policy.toolrules import Called, Tools
from firewall.requests import Execute, Request, ToolCall
from firewall.toolcalls.calls import Call, request_of
from firewall.verdict import Action

if TYPE_CHECKING:
    from firewall.toolcalls.spool import Question

_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}
"""What YAML 1.1 does not read as text."""


class ConsentError(ValueError):
    """No such change can be made safely; the message says what to do by hand."""


@frozen
class Change:
    """A policy file's text before and after. `notes` say what else it changes."""

    path: Path
    before: str
    after: str
    notes: tuple[str, ...]

    @property
    def diff(self) -> str:
        lines = (self.before.splitlines(keepends=True), self.after.splitlines(keepends=True))
        return "".join(difflib.unified_diff(*lines, str(self.path), str(self.path)))

    def write(self) -> None:
        """Raises ConsentError where the file has changed meanwhile, OSError where it cannot be."""
        if self.path.read_text() != self.before:
            raise ConsentError(f"{self.path} was changed meanwhile; try again")
        draft = _beside(self.path, self.after)
        shutil.copystat(self.path, draft)
        owner = self.path.stat()
        if os.geteuid() == 0:
            os.chown(draft, owner.st_uid, owner.st_gid)
        draft.replace(self.path)


@frozen
class _Thing:
    """What is allowed: the section of its rule, the program or tool, and what else the rule says.
    `folder` is None where it is not known, or does not matter."""

    section: str
    name: str
    arguments: str
    folder: str | None = None

    def rule(self, name: str) -> str:
        exactly = f"arguments: {self.arguments}"
        if self.folder is not None:
            exactly += f", directory: {_quoted(self.folder)}"
        allow = _quoted(literal(self.name))
        return f"{{name: {name}, allow: [{allow}], exactly: {{{exactly}}}}}"


def consent(question: "Question") -> Change:
    """The change that allows what was asked. Raises ConsentError, OSError."""
    if not question.sources or not question.whole:
        raise ConsentError("the request is too large to be a rule; allow it once, or --session")
    try:
        policy = load_policy(question.sources[-1], trust=ANYTHING)
    except PolicyError as error:
        raise ConsentError(str(error)) from error
    if policy.version:
        raise ConsentError("a signed bundle is not changed; add the rule to what it was made from")
    request = _request(question.request, policy)
    thing = _only(list(_things(policy, request, question.rule)), question.rule)
    path = _writable(Path(policy.sources[-1]), thing)
    before = path.read_text()
    after = yamledit.with_rule(before, thing.section, thing.rule(_name(policy, thing)))
    return _checked(Change(path, before, after, _notes(thing)), request, thing)


def _notes(thing: _Thing) -> tuple[str, ...]:
    if thing.section == "tools" or thing.folder is not None:
        return ()
    return ("the folder is not known, so that this is allowed in any",)


def _checked(change: Change, request: Request, thing: _Thing) -> Change:
    """The change, if it does what it is for."""
    draft = _beside(change.path, change.after)
    try:
        verdict = judge(load_policy(draft, trust=ANYTHING), [request], "")
    except PolicyError as error:
        raise ConsentError(f"{_by_hand(thing, change.path)} (an edit failed: {error})") from error
    finally:
        draft.unlink()
    if verdict.action is not Action.ALLOW:
        raise ConsentError(
            f"{_by_hand(thing, change.path)}; it would not do alone: {verdict.reason}"
        )
    return change


def _request(body: Mapping[str, Any], policy: Policy) -> Request:
    """The request of a question, read anew."""
    if body["type"] == "ToolCall":
        names = ("tool", "call_id", "agent", "server", "session", "directory")
        given = {name: body[name] for name in names}
        call = Call(arguments=json.loads(body["arguments"]), **given)
        return request_of(call, policy.command_arguments)
    if body["type"] != "Execute":
        raise ConsentError(f"no rule of this kind is known for a {body['type']}")
    argv = tuple(body["argv"])
    reading = read_argv((body["path"], *argv[1:]), body["directory"])
    return Execute(
        body["path"], argv, body["directory"], reading.findings, body["script"], body["digest"],
        reading.commands,
    )  # fmt: skip


def _things(policy: Policy, request: Request, rule: str) -> Iterator[_Thing]:
    """What a rule, or a default, asks about."""
    if not isinstance(request, ToolCall | Execute):
        return
    tools, programs = Tools(policy.resolved.tools, ""), Programs(policy.resolved.shell, "")
    if isinstance(request, ToolCall) and tools.asks(rule, called := Called(request)):
        yield _Thing("tools", called.name, _flow(json.loads(request.arguments)))
    runs = runs_of(request) if isinstance(request, Execute) else map(run_of, request.commands)
    for run in runs:
        if programs.asks(rule, run):
            yield _ran(run)


def _ran(run: Run) -> _Thing:
    if not run.known or not run.names:
        raise ConsentError("not every word of it is known; allow it once, or --session")
    name = run.own[0] if run.own else run.names[0]
    return _Thing("shell", name, _flow(run.arguments), run.directory or None)


def _only(things: list[_Thing], rule: str) -> _Thing:
    """The one thing that is asked about."""
    unique = list(dict.fromkeys(things))
    if not unique:
        raise ConsentError(f"no rule can allow what {rule} asks about; allow it once, or --session")
    if len(unique) > 1:
        raise ConsentError(
            f"{rule} asks about several things here: {', '.join(each.name for each in unique)};"
            " allow it once, or --session"
        )
    return unique[0]


def _writable(path: Path, thing: _Thing) -> Path:
    found = path.resolve()
    if found.is_relative_to(PRESETS.resolve()):
        raise ConsentError(f"{found} is a preset, which is not changed; {_by_hand(thing, found)}")
    return found


def _by_hand(thing: _Thing, path: Path) -> str:
    rule = thing.rule("NAME")
    return f"write it by hand under {thing.section}: rules: {rule} ({path})"


def _name(policy: Policy, thing: _Thing) -> str:
    resolved = policy.resolved
    taken = {each.name for each in resolved.rules}
    taken |= {each.name for each in resolved.shell.rules}
    taken |= {each.name for each in resolved.tools.rules}
    plain = re.sub(r"[^a-z0-9]+", "-", os.path.basename(thing.name).lower()).strip("-")
    name = f"{plain or 'consent'}-allowed"
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return next(each for each in (name, *numbered) if each not in taken)


def _quoted(text: str) -> str:
    """A text as YAML has it inside a flow collection."""
    plain = re.fullmatch(r"[A-Za-z][\w-]*", text, re.ASCII) and text.lower() not in _WORDS
    return text if plain else _flow(text)


def _flow(value: Any) -> str:
    """A value as YAML has it inside a flow collection: as JSON."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        raise ConsentError("text with control characters is no rule; allow it once, or --session")
    return text


def _beside(path: Path, text: str) -> Path:
    """A file with this text in the same folder, from where other files are named."""
    handle, name = tempfile.mkstemp(".yaml", ".approval-", path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return Path(name)
