"""From files to the resolved form: reading, `extends`, checks, and `from:`."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from firewall.policy.actchecks import check_acts, check_names, placed_programs, placed_tools
from firewall.policy.actloading import resolved_shell, resolved_tools, shadowed
from firewall.policy.bundle import Bundle, Trust, read_bundle
from firewall.policy.checks import Placed, SourceFile, check, check_network, placed, ports
from firewall.policy.document import (
    GuardAction,
    GuardsDocument,
    ListsDocument,
    PolicyDocument,
    ToolHosts,
    validate,
)
from firewall.policy.errors import Fault, PolicyError, Problem
from firewall.policy.gpuloading import check_gpu, resolved_gpu, unknown_users
from firewall.policy.inject import injection
from firewall.policy.limits import limits_of, several
from firewall.policy.lists import parse_list, read_list
from firewall.policy.overlap import compare
from firewall.policy.redact import terms as redaction_terms
from firewall.policy.resolved import Guard, Learned, Resolved, ResolvedList, ResolvedRule
from firewall.policy.secrets import watched
from firewall.policy.sources import Origin, SourceError, resolve
from firewall.policy.ssh import terms
from firewall.policy.suggest import closest
from firewall.policy.text import parse, read
from firewall.verdict import Limit

PRESETS = Path(__file__).parents[2] / "policies"
"""The folder of presets: beside the package, in the source tree as in an installed wheel."""

UNWRITTEN: dict[str, GuardAction] = {"suspicious": "alert", "on-critical": "alert"}
"""What a guard does that no file names, where that is not to block: what is only suspicious is
honest more often than not."""

LISTS = PRESETS / "lists"
"""The folder of lists that come along."""

_PRESET = re.compile(r"[a-z0-9][a-z0-9-]*")


def presets() -> list[str]:
    """The names of all presets."""
    names = (path.stem for path in PRESETS.glob("*.yaml"))
    return sorted(name for name in names if not name.endswith(".test"))


def find(policy: Path | str) -> Path:
    """The file of a policy given by path or by preset name. Raises PolicyError."""
    path = Path(policy)
    if _PRESET.fullmatch(str(policy)) and not path.exists():
        if str(policy) not in presets():
            what = f"there is no preset {str(policy)!r}"
            raise PolicyError([Problem(str(policy), 1, what, closest(str(policy), presets()))])
        return PRESETS / f"{policy}.yaml"
    return path


def load(
    policy: Path | str, labels: Mapping[str, str] | None = None, *, trust: Trust | None = None
) -> Resolved:
    """Read a policy and all it extends, or a bundle, for a run with these labels.

    Raises PolicyError with every problem found.
    `trust` is what is asked of its signature; by default what this machine's environment asks.
    """
    path = find(policy)
    bundle = read_bundle(path)
    (Trust.required() if trust is None else trust).accept(path, bundle)
    files = list(family(path)) if bundle is None else list(_bundled(bundle))
    _check(files)
    if bundle is None:
        return _resolve(
            files, [read_list(path, guard) for guard, path in list_files(files)], labels
        )
    lists = [parse_list(text, Path(name), guard) for guard, name, text in bundle.contents.lists]
    return _resolve(files, lists, labels).model_copy(
        update={
            "sources": (str(path),),
            "lists": tuple(each.model_copy(update={"path": str(path)}) for each in lists),
            "version": bundle.contents.version,
            "signers": bundle.signers,
        }
    )


def _check(files: list[SourceFile]) -> None:
    rules = placed(files)
    programs, tools = placed_programs(files), placed_tools(files)
    problems = [
        *check(rules),
        *compare(rules),
        *check_network(files),
        *check_acts(programs),
        *check_acts(tools),
        *check_names([*rules, *programs, *tools]),
        *check_gpu(files),
    ]
    if problems:
        raise PolicyError(problems)


def _bundled(bundle: Bundle) -> Iterator[SourceFile]:
    for name, text in bundle.contents.files:
        label = f"{bundle.path}({name})"
        node = parse(text, label)
        yield SourceFile(Path(name), label, node, validate(PolicyDocument, node, label))


def family(path: Path, children: tuple[Path, ...] = ()) -> Iterator[SourceFile]:
    """The file after all it extends, each once. Raises PolicyError."""
    file = _read(path)
    seen: set[Path] = set()
    for position, text in enumerate(file.document.extends):
        try:
            parent = _parent(path, text, (*children, path.resolve()))
        except Fault as fault:
            raise PolicyError([file.problem(("extends", position), fault)]) from None
        for each in family(parent, (*children, path.resolve())):
            if each.path.resolve() not in seen:
                seen.add(each.path.resolve())
                yield each
    yield file


def _read(path: Path) -> SourceFile:
    node = read(path, str(path))
    return SourceFile(path, str(path), node, validate(PolicyDocument, node, str(path)))


def _parent(path: Path, text: str, children: tuple[Path, ...]) -> Path:
    if _PRESET.fullmatch(text):
        parent = PRESETS / f"{text}.yaml"
        if text not in presets():
            raise Fault(f"there is no preset {text!r}", closest(text, presets()))
    else:
        parent = path.parent / text
        if not parent.is_file():
            raise Fault(f"there is no file {parent}", "a preset's name or a path from this file")
    if parent.resolve() in children:
        names = " -> ".join(each.name for each in (*children, parent))
        raise Fault(f"extends goes in a circle: {names}", "extends without this entry")
    return parent


def _resolve(
    files: list[SourceFile], lists: list[ResolvedList], labels: Mapping[str, str] | None
) -> Resolved:
    top = files[-1].document
    rules = placed(files)
    learned = _Learning(rules)
    resolved = [each for rule in rules for each in learned.rules(rule)]
    if learned.problems:
        raise PolicyError(learned.problems)
    shell, tools, gpu = resolved_shell(files), resolved_tools(files), resolved_gpu(files)
    names = {name: text for file in files for name, text in file.document.network.names.items()}
    return Resolved(
        name=top.name,
        mode=top.mode,
        labels=dict(labels or {}),
        names=names,
        guards=_guards(files),
        rules=tuple(resolved),
        limits=_network_limits(files),
        shell=shell,
        tools=tools,
        gpu=gpu,
        lists=tuple(lists),
        redaction=redaction_terms(file.document.audit for file in files),
        watched=watched(
            [file.document.secrets for file in files],
            [(each.tool, urlsplit(each.url).hostname or "") for each in learned.learned],
        ),
        sources=tuple(str(file.path) for file in files),
        learned=tuple(learned.learned),
        notes=(
            *learned.notes(),
            *_by_name_alone(rules),
            *shadowed(shell, tools),
            *unknown_users(gpu),
        ),
    )


def _by_name_alone(rules: list[Placed]) -> Iterator[str]:
    """A program that is known by its name alone is whatever the agent gives that name."""
    for each in rules:
        loose = [text for text in each.rule.programs or () if text.startswith("*")]
        if loose:
            yield (
                f"rule {each.rule.name}: programs {', '.join(loose)} mean any file of that name,"
                " also one that an agent makes; write whole paths, such as /usr/bin/git"
            )


def list_files(files: list[SourceFile]) -> Iterator[tuple[str, Path]]:
    """Every list with its guard; the last policy that names a guard's lists decides them.

    Raises PolicyError where there is none of that name.
    """
    for guard in ListsDocument.model_fields:
        named = [file for file in files if getattr(file.document.lists, guard) is not None]
        for file in named[-1:]:
            for position, text in enumerate(getattr(file.document.lists, guard)):
                try:
                    yield guard, _list_path(file, text)
                except Fault as fault:
                    raise PolicyError([file.problem(("lists", guard, position), fault)]) from None


def _list_path(file: SourceFile, text: str) -> Path:
    if _PRESET.fullmatch(text):
        known = sorted(path.stem for path in LISTS.glob("*.txt"))
        if text not in known:
            raise Fault(f"there is no list {text!r}", closest(text, known))
        return LISTS / f"{text}.txt"
    path = file.path.parent / text
    if not path.is_file():
        raise Fault(f"there is no file {path}", "a list's name or a path from this file")
    return path


def _network_limits(files: list[SourceFile]) -> tuple[Limit, ...]:
    """The limits of all of the network; of two for the same, the last file's holds."""
    found: dict[object, Limit] = {}
    for file in files:
        limits = file.document.network.limits
        places = [file.where("network", "limits", *place) for place, _ in several(limits)]
        for each in limits_of(limits, "", places, "sandbox"):
            found[each.measure, each.seconds, each.per] = each
    return tuple(found.values())


def _guards(files: list[SourceFile]) -> dict[str, Guard]:
    """Every guard; the last file that names one decides it."""
    guards: dict[str, Guard] = {}
    for field, info in GuardsDocument.model_fields.items():
        name = info.alias or field
        guards[name] = Guard(action=UNWRITTEN.get(name, "block"))
        for file in files:
            action = getattr(file.document.guards, field)
            if action is not None:
                guards[name] = Guard(action=action, source=file.where("guards", name))
    return guards


class _Learning:
    """Fills in what `from:` stands for, and gathers what people should know about it."""

    def __init__(self, rules: list[Placed]) -> None:
        asked = [each.rule.hosts for each in rules]
        tools = [tool for hosts in asked if isinstance(hosts, ToolHosts) for tool in hosts.tools]
        self._answers = resolve(tools)
        self.problems: list[Problem] = []
        self.learned: list[Learned] = []
        self._notes: list[str] = []
        self._passed_over: dict[str, str] = {}

    def notes(self) -> tuple[str, ...]:
        """What people should know: silent tools, and origins that no rule's protocol fits."""
        used = {each.url for each in self.learned}
        unused = (text for url, text in self._passed_over.items() if url not in used)
        return tuple(dict.fromkeys((*self._notes, *unused)))

    def rules(self, placed: Placed) -> Iterator[ResolvedRule]:
        """The resolved rule; one for each port where tools download from several."""
        hosts = placed.rule.hosts
        if not isinstance(hosts, ToolHosts):
            yield _rule(placed, hosts, ports(placed.rule))
            return
        by_port: dict[tuple[int, ...], list[str]] = {}
        for origin in self._origins(placed, hosts):
            usual = (origin.port,) if placed.rule.allow else ()
            chosen = ports(placed.rule) if placed.rule.ports else usual
            by_port.setdefault(chosen, []).append(origin.host)
        for chosen, names in by_port.items():
            yield _rule(placed, list(dict.fromkeys(names)), chosen)

    def _origins(self, placed: Placed, hosts: ToolHosts) -> Iterator[Origin]:
        rule, silent, elsewhere, found = placed.rule, [], [], 0
        for tool in hosts.tools:
            answer = self._answers[tool]
            if isinstance(answer, SourceError):
                silent.append(str(answer))
                continue
            self._notes += answer.notes
            for origin in answer.origins:
                if rule.kind not in (origin.scheme, "any"):
                    text = f"{tool} downloads from {origin}, which is {origin.scheme}"
                    elsewhere.append(text)
                    self._passed_over[str(origin)] = f"rule {rule.name}: {text}, not {rule.kind}"
                    continue
                found += 1
                self.learned.append(
                    Learned(rule=rule.name, tool=tool, url=str(origin), why=origin.why)
                )
                yield origin
        self._account(placed, silent, elsewhere, found)

    def _account(self, placed: Placed, silent: list[str], elsewhere: list[str], found: int) -> None:
        """A rule none of whose tools could say anything is a fault, and so is one for HTTPS where
        all download in plain text; the reverse only means that nothing is left to allow."""
        rule, tools = placed.rule, placed.rule.hosts
        self._notes += [
            f"rule {rule.name}: {text}; it adds no hosts to the rule" for text in silent
        ]
        if isinstance(tools, ToolHosts) and len(silent) == len(tools.tools):
            fault = Fault(
                f"no hosts for rule {rule.name}: {'; '.join(silent)}", "the hosts by name"
            )
            self.problems.append(placed.problem(fault, "hosts"))
        elif not found and elsewhere and rule.allow == "https":
            fault = Fault(f"no hosts for rule {rule.name}: {'; '.join(elsewhere)}", "allow: http")
            self.problems.append(placed.problem(fault, "allow"))


def _limit_places(placed: Placed) -> list[str]:
    at = ("network", "rules", placed.position, "limits")
    return [placed.file.where(*at, *place) for place, _ in several(placed.rule.limits)]


def _rule(placed: Placed, hosts: list[str], chosen: tuple[int, ...]) -> ResolvedRule:
    rule = placed.rule
    return ResolvedRule(
        name=rule.name,
        action="allow" if rule.allow else "deny",
        kind=rule.allow or rule.deny or "any",
        hosts=tuple(hosts),
        ports=chosen,
        methods=tuple(rule.methods or ()),
        requests=tuple(rule.requests or ()),
        programs=tuple(rule.programs or ()),
        tls=rule.tls or "inspect",
        addresses=tuple(rule.addresses or ()),
        trusted=rule.forwarding == "trusted",
        tool_calls=rule.tool_calls is not None,
        inject=tuple(injection(each, placed.where) for each in rule.inject or ()),
        limits=limits_of(rule.limits, rule.name, _limit_places(placed)),
        secrets=rule.secrets is not None,
        after=rule.after,
        valid=rule.valid,
        labels=rule.wanted,
        owner=rule.owner,
        ssh=terms(rule) if rule.allow == "ssh" and rule.forwarding != "trusted" else None,
        reason=rule.reason,
        source=placed.where,
    )
