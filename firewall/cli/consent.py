"""A person's consent as a rule of the policy: the change to its text, and that it takes effect.

An ask beats an allow, so that one more allow would change nothing: what asks has to let go of it.
A rule that asks about this program or tool alone becomes the allow; one that asks about others too
loses this one, and the allow is added. Where the default asks, the allow is all that is needed.
"""

import difflib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from firewall.cli import yamledit
from firewall.commands import read_argv
from firewall.policy import Policy, PolicyError, load_policy
from firewall.policy.cases import judge
from firewall.policy.loading import PRESETS
from firewall.requests import Execute, Request, ToolCall
from firewall.toolcalls.calls import Call, request_of
from firewall.verdict import Action

if TYPE_CHECKING:
    from firewall.toolcalls.spool import Question

DEFAULTS = {"shell.default": "shell", "tools.default": "tools"}
_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}
"""What YAML 1.1 does not read as text."""
_KEY = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


class ConsentError(ValueError):
    """No such change can be made safely; the message says what to do by hand."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class _Thing:
    """What is allowed: the section and key of its rule, its name, what narrows the rule, and the
    words that it was read from."""

    section: str
    name: str
    narrowed: str
    words: tuple[str, ...]

    def rule(self, name: str) -> str:
        return f"{{name: {name}, allow: [{_quoted(self.name)}]{self.narrowed}}}"


def consent(question: "Question") -> Change:
    """The change that allows what was asked. Raises ConsentError, OSError."""
    if not question.sources or not question.whole:
        raise ConsentError("the request is too large to be a rule; allow it once, or --session")
    try:
        policy = load_policy(question.sources[-1])
    except PolicyError as error:
        raise ConsentError(str(error)) from error
    request = _request(question.request, policy)
    if section := DEFAULTS.get(question.rule):
        return _added(policy, request, section)
    return _let_go(policy, request, question.rule)


def _added(policy: Policy, request: Request, section: str) -> Change:
    """The default asks: the allow is added to the policy's own file."""
    things = list(_things(request, section))
    thing = _only(things, section)
    path = _writable(Path(policy.sources[-1]), thing)
    before = path.read_text()
    after = yamledit.with_rule(before, section, thing.rule(_name(policy, thing)))
    return _checked(Change(path, before, after, ()), policy, request, thing)


def _let_go(policy: Policy, request: Request, rule: str) -> Change:
    """A rule asks: it lets go of this program or tool."""
    for source in policy.sources:
        for section in ("shell", "tools"):
            before = source.read_text()
            if (found := yamledit.rule_named(before, section, rule)) is not None:
                return _narrowed(policy, request, rule, (source, before, section, found))
    raise ConsentError(
        f"no rule {rule} stands in the policy: what cannot be read cannot be allowed by a rule;"
        " allow it once, or --session"
    )


def _narrowed(
    policy: Policy,
    request: Request,
    rule: str,
    place: tuple[Path, str, str, yaml.MappingNode],
) -> Change:
    source, before, section, found = place
    asks = yamledit.member(found, "ask")
    names = [each.value for each in asks.value] if isinstance(asks, yaml.SequenceNode) else []
    things = [each for each in _things(request, section) if each.name in names]
    thing = _only(things, f"rule {rule}")
    path = _writable(source, thing)
    others = [each for each in names if each != thing.name]
    if others:
        fewer = f"[{', '.join(map(_quoted, others))}]"
        after = yamledit.replaced(before, asks, fewer)
        after = yamledit.with_rule(after, section, thing.rule(_name(policy, thing)))
    else:
        after = yamledit.replaced(before, found, thing.rule(rule))
    notes = _loosened(policy, section, rule, thing)
    return _checked(Change(path, before, after, notes), policy, request, thing)


def _loosened(policy: Policy, section: str, rule: str, thing: _Thing) -> tuple[str, ...]:
    resolved = policy.resolved
    default = resolved.shell.default if section == "shell" else resolved.tools.default
    if default != "allow":
        return (f"{section}.default: {default} decides every other use of {thing.name}",)
    note = (
        f"rule {rule} asks about no use of {thing.name} any more, and {section} allows what no"
        f" rule names; with {section}: {{default: ask}} the allow is for this one only"
    )
    return (note,)


def _checked(change: Change, policy: Policy, request: Request, thing: _Thing) -> Change:
    """The change, if it does what it is for. A file that others extend is tried by itself."""
    draft = _beside(change.path, change.after)
    try:
        verdict = judge(load_policy(draft), [request], "")
    except PolicyError as error:
        raise ConsentError(f"{_by_hand(thing, change.path)} (an edit failed: {error})") from error
    finally:
        draft.unlink()
    if verdict.action is not Action.ALLOW:
        raise ConsentError(
            f"{_by_hand(thing, change.path)}; it would not do alone: {verdict.reason}"
        )
    if change.path == Path(policy.sources[-1]).resolve():
        return change
    note = f"{policy.sources[-1]} extends this file, which was tried by itself"
    return Change(change.path, change.before, change.after, (*change.notes, note))


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


def _things(request: Request, section: str) -> Iterator[_Thing]:
    """The tool, or the programs by their names and paths."""
    if isinstance(request, ToolCall) and section == "tools":
        tool, server = request.tool, request.server
        name = tool if not server or tool.startswith("mcp__") else f"mcp__{server}__{tool}"
        yield _Thing("tools", name, _where(json.loads(request.arguments)), (name,))
    commands = request.commands if isinstance(request, ToolCall | Execute) else ()
    for command in commands if section == "shell" else ():
        words = tuple(word for word in command.words if word is not None)
        if words and len(words) == len(command.words):
            narrowed = f", arguments: [{_quoted(_literal(' '.join(words[1:])))}]"
            for name in dict.fromkeys((os.path.basename(words[0]), words[0])):
                yield _Thing("shell", name, narrowed, words)


def _only(things: list[_Thing], what: str) -> _Thing:
    """The one thing that is asked about."""
    unique = list(dict.fromkeys(things))
    kinds = {each.words for each in unique}
    if len(kinds) != 1:
        raise ConsentError(
            f"{what} asks about {'several things' if kinds else 'more than one name'} here; allow"
            " it once, or --session, or change the policy by hand: let the ask name less, and add"
            " an allow"
        )
    return unique[0]


def _writable(path: Path, thing: _Thing) -> Path:
    found = path.resolve()
    if found.is_relative_to(PRESETS.resolve()):
        raise ConsentError(f"{found} is a preset, which is not changed; {_by_hand(thing, found)}")
    return found


def _by_hand(thing: _Thing, path: Path) -> str:
    rule = thing.rule("NAME")
    return f"write it by hand under {thing.section}: rules: {rule} ({path}); an ask beats it"


def _name(policy: Policy, thing: _Thing) -> str:
    resolved = policy.resolved
    taken = {each.name for each in resolved.rules}
    taken |= {each.name for each in resolved.shell.rules}
    taken |= {each.name for each in resolved.tools.rules}
    plain = re.sub(r"[^a-z0-9]+", "-", os.path.basename(thing.name).lower()).strip("-")
    name = f"{plain or 'consent'}-allowed"
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return next(each for each in (name, *numbered) if each not in taken)


def _where(arguments: Any) -> str:
    """The arguments of a tool, exactly."""
    if not arguments:
        return ""
    simple = (str, int, float, bool)
    if not all(_KEY.fullmatch(key) and isinstance(arguments[key], simple) for key in arguments):
        raise ConsentError("such arguments cannot be told in a rule; allow it once, or --session")
    parts = (f'"$.{key}": {_quoted(value)}' for key, value in arguments.items())
    return f", where: {{{', '.join(parts)}}}"


def _literal(text: str) -> str:
    """A glob that is this text and nothing else."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in text)


def _quoted(value: Any) -> str:
    """A value as YAML has it inside a flow collection."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w-]*", value, re.ASCII):
        return value if value.lower() not in _WORDS else f'"{value}"'
    if isinstance(value, str) and not value.isprintable():
        raise ConsentError("text with control characters is no rule; allow it once, or --session")
    return json.dumps(value, ensure_ascii=False)


def _beside(path: Path, text: str) -> Path:
    """A file with this text in the same folder, from where other files are named."""
    handle, name = tempfile.mkstemp(".yaml", ".approval-", path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return Path(name)
