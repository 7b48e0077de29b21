"""What a whole log says of each host and port, whatever became of the requests there."""

from firewall.policy.hosts import normalise
from firewall.policy.recorded import Recorded
from firewall.requests import Connect, HttpRequest, Message, Request, SshChannel
from firewall.verdict import Severity

type End = tuple[str, int]
"""A host and a port."""

_ALERTS = " is set to alert"
"""What reasons say of a guard that saw something and let it pass (`firewall.policy.decide`)."""


class Ends:
    """`bad` are the ends where something was found, and what; `tls` those that TLS was spoken to,
    `nameless` those of them without a server's name; of `read` ones HTTP requests were seen."""

    def __init__(self) -> None:
        self.bad: dict[End, str] = {}
        self.tls: set[End] = set()
        self.nameless: set[End] = set()
        self.read: set[End] = set()

    def note(self, each: Recorded) -> None:
        """Take in one more record."""
        request = each.request
        end = _end(request)
        if end is None:
            return
        if what := found_in(each):
            self.bad.setdefault(end, f"something was found at {end[0]}:{end[1]}: {what}")
        if isinstance(request, HttpRequest):
            self.read.add(end)
        elif isinstance(request, Connect) and request.protocol == "tls":
            self.tls.add(end)
            self.nameless |= set() if request.sni else {end}


def found_in(each: Recorded) -> str:
    """What was found in a request, with its evidence and record; "" where nothing was."""
    verdict = each.verdict
    for finding in each.request.findings:
        what = f"{finding.kind} ({finding.name}): {finding.evidence}"
        return f"{what} ({finding.where}; {finding.confidence}; {each.at})"
    if verdict.severity is Severity.CRITICAL or _ALERTS in verdict.reason:
        return f"{verdict.reason} ({each.at})"
    return ""


def _end(request: Request) -> End | None:
    if isinstance(request, Connect | HttpRequest | Message | SshChannel):
        return normalise(request.host), request.port
    return None
