"""A policy learned from an audit log: the smallest allowlist for what was seen, for review.

Only what no rule allowed is learned: not what a guard or a deny rule refused, nor anything in which
something was found. Hosts, ports, methods and paths stand as seen (`generalise` widens them).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from firewall.policy.errors import Fault
from firewall.policy.hosts import is_name, normalise
from firewall.policy.paths import PathGlob, clean
from firewall.policy.recorded import Recorded
from firewall.policy.replay import Skipped, playable
from firewall.requests import Connect, HttpRequest
from firewall.verdict import Action, Severity

NAMED = 5
"""Programs, hosts and paths that a comment names; of more, the number."""

type Place = tuple[str, str, int]


@dataclass(slots=True)
class Evidence:
    """The records behind one rule: how many, the first and last, who asked for which requests, and
    the hosts and paths that something wider now stands for."""

    first: Recorded
    last: Recorded
    count: int = 0
    programs: set[str] = field(default_factory=set)
    requests: set[tuple[str, str]] = field(default_factory=set)
    widened: list[str] = field(default_factory=list)

    def add(self, each: Recorded) -> None:
        """Take in one more record."""
        self.last = each
        self.count += 1
        self.programs.add(each.actor.program or "an unknown program")
        if isinstance(each.request, HttpRequest):
            self.requests.add((each.request.method, each.request.path.partition("?")[0]))


@dataclass(slots=True)
class Learned:
    """What was learned, by scheme, host and port, and what was not, by why."""

    places: dict[Place, Evidence] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)

    def skip(self, why: str, each: Recorded) -> None:
        """Count a request that is not learned."""
        self.skipped.setdefault(why, Skipped(each.at)).count += 1


def learn(records: Iterable[Mapping[str, Any]], *, denied: bool = False) -> Learned:
    """What `mode: observe` let pass though no rule allows it; with `denied`, what was refused.

    A connection says nothing of its requests, so it is learned only through them. What was refused
    before its requests could be read is therefore not learned, and told.
    """
    found = Learned()
    connections: dict[Place, list[Recorded]] = {}
    for each in playable(records, found.skipped):
        if each.verdict.action is not Action.DENY or each.verdict.enforced != denied:
            continue
        if why := _why_not(each):
            found.skip(why, each)
        elif isinstance(each.request, HttpRequest):
            found.places.setdefault(_place(each.request), Evidence(each, each)).add(each)
        elif isinstance(each.request, Connect):
            connections.setdefault(_place(each.request), []).append(each)
    for place in sorted(connections.keys() - found.places.keys()):
        for each in connections[place]:
            found.skip("only its connection was seen, which says nothing of its requests", each)
    return found


def _place(request: HttpRequest | Connect) -> Place:
    if isinstance(request, HttpRequest):
        scheme: str = request.scheme
    else:
        scheme = "https" if request.protocol == "tls" else "http"
    return scheme, normalise(request.host), request.port


def _why_not(each: Recorded) -> str:
    """Why a refused request is not learned; "" where it is, or where its own requests tell."""
    request, verdict = each.request, each.verdict
    if request.findings or verdict.severity is Severity.CRITICAL:
        return "something was found in it"
    if verdict.rule != "default":
        return f"{verdict.rule} refuses it, which is no gap in the rules"
    if isinstance(request, Connect) and request.protocol in ("tls", "http"):
        return ""
    if not isinstance(request, HttpRequest):
        return "only HTTP requests are learned; write a rule for it by hand"
    if not is_name(normalise(request.host)):
        return "it is for an address, not a name; write a rule for it by hand"
    return "" if _is_plain(request) else "no rule can name its method or path exactly"


def _is_plain(request: HttpRequest) -> bool:
    path = request.path.partition("?")[0]
    if "*" in path or not path.isascii() or not path.isprintable():
        return False
    try:
        glob = PathGlob(path)
    except Fault:
        return False
    segments = clean(path)
    letters = request.method.replace("-", "")
    plain = letters.isascii() and letters.isalpha() and letters.isupper()
    known = plain and request.method[0] != "-" and request.method != "CONNECT"
    return known and segments is not None and glob.matches(segments)


def written(found: Learned, name: str = "learned") -> str:
    """The policy as YAML, each rule with its evidence. What an agent wrote is quoted as JSON, which
    YAML reads alike, so that it cannot end a comment or begin a key."""
    rules = "  rules:" if found.places else "  rules: []"
    lines = ["version: 1", f"name: {name}", "extends: [base]", "network:", rules]
    for number, ((scheme, host, port), evidence) in enumerate(sorted(found.places.items()), 1):
        lines += [f"    # {text}" for text in _told(evidence)]
        lines += [
            f"    - name: learned-{number}",
            f"      allow: {scheme}",
            f"      hosts: [{_quoted(host)}]",
            f"      ports: [{port}]",
            "      requests:",
        ]
        for method, path in sorted(evidence.requests):
            lines.append(f"        - {{method: {_quoted(method)}, path: {_quoted(path)}}}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """As JSON, in printable ASCII only: JSON leaves DEL as it is, which no YAML may hold."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def _told(evidence: Evidence) -> Iterator[str]:
    first, last = evidence.first, evidence.last
    yield f"{evidence.count} requests, first {_quoted(first.at)} at {_quoted(first.time)},"
    yield f"  last {_quoted(last.at)} at {_quoted(last.time)}, by"
    yield from _listed(sorted(evidence.programs), "programs")
    if evidence.widened:
        yield "widened from"
        yield from _listed(evidence.widened, "hosts and paths")


def _listed(texts: list[str], what: str) -> Iterator[str]:
    yield from (f"  {_quoted(text)}" for text in texts[:NAMED])
    if len(texts) > NAMED:
        yield f"  and {len(texts) - NAMED} more {what}"
