"""What rules mean together: the same twice, and allows that a deny or another allow covers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property

from firewall.policy.checks import Placed, identical, patterns, ports
from firewall.policy.document import RuleDocument, ToolHosts
from firewall.policy.errors import Fault, Problem
from firewall.policy.hosts import HostPattern
from firewall.policy.limits import several
from firewall.policy.ssh import terms


class _Rule:
    """A rule, and what it is compared by, which is worked out once."""

    def __init__(self, number: int, placed: Placed) -> None:
        self.number = number
        self.placed = placed
        self.rule: RuleDocument = placed.rule

    @cached_property
    def patterns(self) -> list[HostPattern]:
        return patterns(self.rule)

    @cached_property
    def _exact(self) -> frozenset[HostPattern]:
        return frozenset(self.patterns)

    def covers(self, host: HostPattern) -> bool:
        return host in self._exact or any(each.covers(host) for each in self.patterns)

    @cached_property
    def ports(self) -> frozenset[int]:
        return frozenset(ports(self.rule))

    @cached_property
    def terms(self) -> object:
        """What two rules must have in common to be compared at all."""
        rule = self.rule
        own = (terms(rule).model_dump_json(), rule.forwarding == "trusted")
        return rule.allow, rule.tls or "inspect", rule.tool_calls, own

    @cached_property
    def effect(self) -> object:
        rule, hosts = self.rule, self.rule.hosts
        return (
            self.terms,
            rule.deny,
            frozenset(hosts.tools if isinstance(hosts, ToolHosts) else hosts),
            isinstance(hosts, ToolHosts),
            ports(rule),
            frozenset(rule.methods or ()),
            frozenset(rule.requests or ()),
            frozenset(rule.programs or ()),
            rule.after and rule.after.model_dump_json(),
            tuple(each.model_dump_json() for _, each in several(rule.limits)),
            frozenset(rule.addresses or ()),
            rule.valid and rule.valid.model_dump_json(),
            frozenset(rule.wanted.items()),
        )


class _Index:
    """Finds the rules that may cover a host without asking each of thousands."""

    def __init__(self, rules: Iterable[_Rule]) -> None:
        self._named: dict[HostPattern, list[_Rule]] = defaultdict(list)
        self._networks: list[_Rule] = []
        for each in rules:
            for pattern in each.patterns:
                if pattern.network is None:
                    self._named[pattern].append(each)
            if any(pattern.network for pattern in each.patterns):
                self._networks.append(each)

    def covering(self, hosts: list[HostPattern]) -> list[_Rule]:
        """The rules that cover all of these hosts, in their order."""
        may = self._candidates(hosts[0]) if hosts else ()
        found = {each.number: each for each in may if all(map(each.covers, hosts))}
        return [found[number] for number in sorted(found)]

    def _candidates(self, host: HostPattern) -> Iterator[_Rule]:
        if host.network is not None:
            yield from self._networks
            return
        yield from self._named.get(host, ())
        labels = host.text.split(".")
        for start in range(1, len(labels)):
            yield from self._named.get(HostPattern("below", ".".join(labels[start:])), ())


def compare(rules: list[Placed]) -> Iterator[Problem]:
    """Every fault of the rules together."""
    compared = [_Rule(number, each) for number, each in enumerate(rules)]
    yield from identical((each.placed, each.effect) for each in compared)
    allows = [each for each in compared if each.rule.allow]
    yield from _unreachable(allows, _Index(each for each in compared if each.rule.deny))
    yield from _needless(allows, _Index(allows))


def _unreachable(allows: list[_Rule], denies: _Index) -> Iterator[Problem]:
    for allow in allows:
        covering = denies.covering(allow.patterns)
        if deny := next((each for each in covering if _outdoes(each, allow)), None):
            what = f"rule {allow.rule.name} is unreachable: {deny.placed.named} denies all of it"
            yield allow.placed.problem(Fault(what, "a narrower deny, or no such allow"))


def _needless(allows: list[_Rule], index: _Index) -> Iterator[Problem]:
    """An allow that another covers entirely looks like a restriction, and restricts nothing."""
    for narrow in allows:
        covering = index.covering(narrow.patterns)
        if wide := next((each for each in covering if _includes(each, narrow)), None):
            what = f"rule {narrow.rule.name} changes nothing: {wide.placed.named} allows all of it"
            write = f"a narrower {wide.rule.name}, or no such rule"
            yield narrow.placed.problem(Fault(what, write))


def _includes(wide: _Rule, narrow: _Rule) -> bool:
    """Whether one allow certainly covers all of another but its hosts, and is not the same."""
    ours, theirs = wide.rule, narrow.rule
    return (
        wide is not narrow
        and not theirs.limits  # which hold whatever else allows it
        and wide.terms == narrow.terms
        and narrow.ports <= wide.ports
        and _within(theirs.addresses or (), ours.addresses or ())
        and (not ours.programs or _within(theirs.programs or ("",), ours.programs))
        and _includes_requests(ours, theirs)
        and _holds_whenever(ours, theirs)
        and wide.effect != narrow.effect
    )


def _holds_whenever(ours: RuleDocument, theirs: RuleDocument) -> bool:
    """Whether one rule certainly holds on all days and in all places where another does."""
    days = ours.valid in (None, theirs.valid)
    return days and (not ours.labels or ours.wanted == theirs.wanted)


def _includes_requests(wide: RuleDocument, narrow: RuleDocument) -> bool:
    if not wide.methods and not wide.requests:
        return True
    if wide.methods:
        return bool(narrow.methods) and _within(narrow.methods or (), wide.methods)
    return bool(narrow.requests) and _within(narrow.requests or (), wide.requests or ())


def _within(some: Iterable[object], all_of: Iterable[object]) -> bool:
    return set(some) <= set(all_of)


def _outdoes(deny: _Rule, allow: _Rule) -> bool:
    """Whether the deny covers all of the allow but its hosts."""
    ours, theirs = deny.rule, allow.rule
    kinds = ours.deny in ("any", theirs.allow)
    ports_too = not ours.ports or allow.ports <= set(ours.ports)
    programs = not ours.programs or set(theirs.programs or ("",)) <= set(ours.programs)
    methods = not ours.methods and not ours.requests
    if ours.methods and theirs.methods and not theirs.requests:
        methods = set(theirs.methods) <= set(ours.methods)
    always = ours.after is None and _holds_whenever(ours, theirs)
    return kinds and ports_too and programs and methods and always
