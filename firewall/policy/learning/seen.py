"""What a whole log says of hosts, ports and programs, whatever became of each request."""

import re
from contextlib import suppress

from firewall.policy.addresses import Scope, classify
from firewall.policy.hosts import normalise
from firewall.policy.learning.lessons import Place, Unnameable, lessons
from firewall.policy.recorded import Recorded
from firewall.requests import Connect, Execute, HttpRequest, Message, Request, SshChannel
from firewall.verdict import Action, Severity, Verdict

type End = tuple[str, int]
"""A host and a port."""

_ALERTS = re.compile(r"guards\.(?!private-addresses )\S+ is set to alert")
"""What reasons say of a guard that saw something and let it pass (`firewall.policy.decide`)."""


PRIVATE = "guards.private-addresses"
_DEFAULTS = frozenset({"default", "shell.default", "tools.default"})


class Seen:
    """`bad` are the ends where something was found, and what; `tls` those that TLS was spoken to,
    `nameless` those of them without a server's name; of `read` ones HTTP requests were seen.
    `refused` are the places of programs that a rule refused to run, or asked about; `closed` the
    ends to which a rule refused a connection, and which."""

    def __init__(self) -> None:
        self.bad: dict[End, str] = {}
        self.tls: set[End] = set()
        self.nameless: set[End] = set()
        self.read: set[End] = set()
        self.refused: set[Place] = set()
        self.closed: dict[End, str] = {}

    def note(self, each: Recorded) -> None:
        """Take in one more record."""
        request = each.request
        if isinstance(request, Execute) and not is_gap(each.verdict):
            self._refused(request)
        end = _end(request)
        if end is None:
            return
        if what := found_in(each):
            self.bad.setdefault(end, f"something was found at {end[0]}:{end[1]}: {what}")
        if isinstance(request, Connect) and not is_gap(each.verdict):
            self._closed(end, each.verdict.rule)
        if isinstance(request, HttpRequest):
            self.read.add(end)
        elif isinstance(request, Connect) and request.protocol == "tls":
            self.tls.add(end)
            self.nameless |= set() if request.sni else {end}

    def _closed(self, end: End, rule: str) -> None:
        """What leads to a private address may well be learned, with that address."""
        if rule != PRIVATE:
            self.closed.setdefault(end, f"{rule} refuses a connection to {end[0]}:{end[1]}")

    def _refused(self, request: Execute) -> None:
        with suppress(Unnameable):
            place, _ = lessons(request)[0]
            self.refused.add(place)


def is_gap(verdict: Verdict) -> bool:
    """Whether no rule says anything of what was asked."""
    return verdict.action is Action.ALLOW or verdict.rule in _DEFAULTS


def private_address(request: Request) -> set[str]:
    """The address that a connection leads to, where that is not public."""
    address = request.address if isinstance(request, Connect) else None
    return set() if address is None or classify(address) is Scope.PUBLIC else {address}


def found_in(each: Recorded) -> str:
    """What was found in a request, with its evidence and record; "" where nothing was."""
    verdict = each.verdict
    for finding in each.request.findings:
        what = f"{finding.kind} ({finding.name}): {finding.evidence}"
        return f"{what} ({finding.where}; {finding.confidence}; {each.at})"
    if verdict.severity is Severity.CRITICAL or _ALERTS.search(verdict.reason):
        return f"{verdict.reason} ({each.at})"
    return ""


def _end(request: Request) -> End | None:
    if isinstance(request, Connect | HttpRequest | Message | SshChannel):
        return normalise(request.host), request.port
    return None
