"""What the values of a policy mean together: rules that contradict themselves or each other."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from firewall.domains import is_registry
from firewall.frozen import frozen
from firewall.policy.acts import ProgramRule, ToolRule
from firewall.policy.document import (
    PolicyDocument,
    RequestRule,
    RuleDocument,
    ToolHosts,
    refuse_metadata,
)
from firewall.policy.errors import Fault, Problem
from firewall.policy.hosts import HostPattern, parse_host
from firewall.policy.inject import check_inject, check_same, injection
from firewall.policy.limits import check_limits, several
from firewall.policy.ssh import INSIDE, SSH_KEYS, Login
from firewall.policy.text import Node


@frozen
class SourceFile:
    """One policy file. `label` is what errors call it."""

    path: Path
    label: str
    node: Node
    document: PolicyDocument

    def problem(self, location: tuple[int | str, ...], fault: Fault) -> Problem:
        return Problem(self.label, self.node.line_of(location), fault.what, fault.write)

    def where(self, *location: int | str) -> str:
        """The place as verdicts name it: "coding-agent.yaml:12"."""
        return f"{self.path.name}:{self.node.line_of(location)}"


@frozen
class PlacedIn[R: (RuleDocument, ProgramRule, ToolRule)]:
    """A rule and where it stands."""

    rule: R
    file: SourceFile
    position: int
    section: str = "network"

    def problem(self, fault: Fault, *location: int | str) -> Problem:
        return self.file.problem((self.section, "rules", self.position, *location), fault)

    @property
    def where(self) -> str:
        return self.file.where(self.section, "rules", self.position)

    @property
    def named(self) -> str:
        """The rule as problems of other rules name it."""
        return f"{self.rule.name} ({self.where})"


type Placed = PlacedIn[RuleDocument]


def placed(files: Iterable[SourceFile]) -> list[Placed]:
    """All rules about the network of all files, in order."""
    return [
        PlacedIn(rule, file, position)
        for file in files
        for position, rule in enumerate(file.document.network.rules)
    ]


def check(rules: list[Placed]) -> Iterator[Problem]:
    """Every fault of the rules by themselves, but for their names."""
    faults = [problem for each in rules for test in _EACH for problem in test(each)]
    yield from faults or _same_secrets(rules)


def identical(effects: Iterable[tuple[PlacedIn[Any], object]]) -> Iterator[Problem]:
    """Rules whose effect is that of one before them."""
    first: dict[object, PlacedIn[Any]] = {}
    for each, effect in effects:
        twin = first.setdefault(effect, each)
        if twin is not each:
            what = f"rule {each.rule.name} has the same effect as {twin.named}"
            yield each.problem(Fault(what, "one of the two"))


def _kind(placed: Placed) -> Iterator[Problem]:
    rule = placed.rule
    if rule.allow and rule.deny:
        yield placed.problem(
            Fault(f"rule {rule.name} both allows and denies", "two rules; deny beats allow"), "deny"
        )
    if not rule.allow and not rule.deny:
        fault = Fault(f"rule {rule.name} neither allows nor denies", "allow: https, or deny: any")
        yield placed.problem(fault)
    if rule.allow == "tcp" and rule.ports is None:
        yield placed.problem(Fault(f"rule {rule.name} allows tcp without ports", "ports: [5432]"))
    if rule.deny and rule.addresses:
        fault = Fault(f"rule {rule.name} is a deny; addresses are a consent", "hosts: [10.0.0.0/8]")
        yield placed.problem(fault, "addresses")


def _after(placed: Placed) -> Iterator[Problem]:
    after = placed.rule.after
    if after is not None and placed.rule.allow:
        what = f"rule {placed.rule.name} is an allow; after is for what deny and ask hold back"
        yield placed.problem(Fault(what, "a deny with this after, or no after"), "after")
    elif after is not None and after.same:
        fault = Fault("same: file needs a file, and a connection is to a host", "files: [...]")
        yield placed.problem(fault, "after", "same")


def _http_keys(placed: Placed) -> Iterator[Problem]:
    rule = placed.rule
    for key in ("methods", "requests"):
        if getattr(rule, key) is not None and rule.kind not in ("https", "http", ""):
            fault = Fault(f"{key} need HTTP, but rule {rule.name} is {rule.kind}", "https or http")
            yield placed.problem(fault, key)
    if rule.methods and rule.requests:
        what = f"rule {rule.name} has methods and requests: either would allow what the other bars"
        write = ", ".join(f"{{method: {each}}}" for each in rule.methods)
        yield placed.problem(Fault(what, f"no methods, and in requests: {write}"), "methods")
    for position, request in enumerate(rule.requests or ()):
        if request == RequestRule():
            fault = Fault("a request without method and path is any request", "no requests at all")
            yield placed.problem(fault, "requests", position)
        if len(request.apis) > 1:
            what = f"one request is of one API, not of {' and '.join(request.apis)}"
            fault = Fault(what, "a request each")
            yield placed.problem(fault, "requests", position)


def _tls(placed: Placed) -> Iterator[Problem]:
    rule = placed.rule
    if rule.tls is None:
        return
    if rule.allow != "https":
        fault = Fault(f"tls is for allow: https, not for rule {rule.name}", "no tls key")
        yield placed.problem(fault, "tls")
    elif rule.tls == "passthrough" and (rule.methods or rule.requests):
        what = "with tls: passthrough nobody reads the requests, so none can be told apart"
        yield placed.problem(Fault(what, "tls: inspect, or no methods and requests"), "tls")


def _tool_calls(placed: Placed) -> Iterator[Problem]:
    rule = placed.rule
    if rule.tool_calls and rule.allow != "https":
        fault = Fault(f"tool-calls is for allow: https, not for rule {rule.name}", "no tool-calls")
        yield placed.problem(fault, "tool-calls")
    elif rule.tool_calls and rule.tls == "passthrough":
        what = "with tls: passthrough nobody reads the responses, so no tool call is seen"
        yield placed.problem(Fault(what, "tls: inspect, or no tool-calls"), "tool-calls")


def _inject(placed: Placed) -> Iterator[Problem]:
    rule = placed.rule
    if rule.inject is not None:
        found = check_inject(rule.name, rule.allow or "", rule.tls, rule.inject)
        yield from (placed.problem(fault, *where) for where, fault in found)


def _secrets(placed: Placed) -> Iterator[Problem]:
    rule = placed.rule
    if rule.secrets is not None and not rule.allow:
        fault = Fault(f"rule {rule.name} is a deny; secrets: allow is an exception", "no secrets")
        yield placed.problem(fault, "secrets")
    elif rule.secrets is not None and not rule.reason:
        what = f"rule {rule.name} lets secrets leave and does not say why"
        yield placed.problem(Fault(what, "reason: why they may"), "secrets")


def _same_secrets(rules: list[Placed]) -> Iterator[Problem]:
    injects = [(each, inject) for each in rules for inject in each.rule.inject or ()]
    meant = [(injection(inject, each.where), each.rule.name) for each, inject in injects]
    for position, fault in check_same(meant):
        yield injects[position][0].problem(fault, "inject")


def _limits(placed: Placed) -> Iterator[Problem]:
    rule = placed.rule
    if rule.limits is not None and not rule.allow:
        fault = Fault(f"limits are for what is allowed, and rule {rule.name} denies", "no limits")
        yield placed.problem(fault, "limits")
        return
    inspected = rule.allow in ("https", "http") and rule.tls != "passthrough"
    for where, fault in check_limits(rule.limits, rule.allow or "", requests=inspected):
        yield placed.problem(fault, "limits", *where)
    if rule.forwarding == "trusted":
        for key in (key for _, each in several(rule.limits) for key in each.bounds):
            what = f"with forwarding: trusted nobody reads what is inside, so {key} cannot hold"
            write = f"no {key}; within a time, sent and received can be limited"
            yield placed.problem(Fault(what, write), "limits")


def check_network(files: Iterable[SourceFile]) -> Iterator[Problem]:
    """Every fault of the limits of all of the network."""
    for file in files:
        limits = file.document.network.limits
        for where, fault in check_limits(limits, "", requests=True, whole=True):
            yield file.problem(("network", "limits", *where), fault)


def _ssh(placed: Placed) -> Iterator[Problem]:
    rule = placed.rule
    written = [key for key in SSH_KEYS if getattr(rule, key.replace("-", "_")) is not None]
    if rule.allow != "ssh":
        for key in written:
            fault = Fault(f"{key} is for allow: ssh, not for rule {rule.name}", f"no {key}")
            yield placed.problem(fault, key)
    elif rule.forwarding == "trusted":
        for key in (key for key in written if key != "forwarding"):
            what = f"with forwarding: trusted nobody reads what is inside, so {key} cannot hold"
            yield placed.problem(Fault(what, f"no {key}, or forwarding: {{local: [...]}}"), key)
    elif not rule.forwarding and not any(getattr(rule, key) for key in INSIDE):
        what = f"rule {rule.name} allows ssh, but nothing inside it"
        yield placed.problem(Fault(what, 'commands: ["git-upload-pack *"], shell: true, or files'))


def _login(placed: Placed) -> Iterator[Problem]:
    login = placed.rule.login
    if login is not None and login == Login():
        fault = Fault("a login without key, agent, certificate or password", "key: ~/.ssh/id_agent")
        yield placed.problem(fault, "login")


def _hosts(placed: Placed) -> Iterator[Problem]:
    rule = placed.rule
    if isinstance(rule.hosts, ToolHosts):
        if rule.kind not in ("https", "http", "any"):
            fault = Fault(f"tools download over HTTP, not {rule.kind}", "allow: https or http")
            yield placed.problem(fault, "hosts")
        return
    if not rule.hosts:
        yield placed.problem(
            Fault(f"rule {rule.name} has no hosts", "hosts: [example.com]"), "hosts"
        )
    seen: set[str] = set()
    for position, host in enumerate(rule.hosts):
        if host in seen:
            fault = Fault(f"the host {host} stands twice in rule {rule.name}", "it once")
            yield placed.problem(fault, "hosts", position)
        seen.add(host)


def _registries(placed: Placed) -> Iterator[Problem]:
    """A deny may well speak of all names below a top level; an allow would be for strangers."""
    for position, pattern in enumerate(patterns(placed.rule) if placed.rule.allow else ()):
        if pattern.kind == "below" and is_registry(pattern.text):
            top = pattern.text
            what = f"anyone can register a name below {top}, so '*.{top}' is no limit"
            fault = Fault(what, f'names of one owner: "*.example.{top}"')
            yield placed.problem(fault, "hosts", position)


def _metadata(placed: Placed) -> Iterator[Problem]:
    for position, pattern in enumerate(patterns(placed.rule) if placed.rule.allow else ()):
        if pattern.network is not None:
            try:
                refuse_metadata(pattern.network)
            except Fault as fault:
                yield placed.problem(fault, "hosts", position)


_EACH = (
    _kind, _after, _http_keys, _tls, _tool_calls, _inject, _limits, _secrets, _ssh, _login,
    _hosts, _registries, _metadata,
)  # fmt: skip


def ports(rule: RuleDocument) -> tuple[int, ...]:
    """The ports of a rule, sorted: those written, or its protocol's own. A deny without ports
    means every port, written as none."""
    if rule.ports is not None:
        return tuple(sorted(set(rule.ports)))
    usual = {"https": (443,), "http": (80,), "ssh": (22,)}
    return usual.get(rule.allow or "", ())


def patterns(rule: RuleDocument) -> list[HostPattern]:
    """The hosts of a rule that names them; none where it takes a tool's."""
    return [] if isinstance(rule.hosts, ToolHosts) else [parse_host(host) for host in rule.hosts]
