"""What excuses a secret that leaves, and what to write where nothing does."""

from collections.abc import Iterable, Mapping, Sequence

from firewall.deeds import Past
from firewall.keyformats import FORMATS, is_home
from firewall.policy.hosts import HostIndex, read_host
from firewall.policy.resolved import Guard
from firewall.policy.rules import Asked, Rule, index
from firewall.requests import Finding, HttpRequest, Message, Protocol, Request, SshChannel

_HELD = frozenset({"value", "placeholder"})
"""The names of findings of what the firewall holds (lookout), which nothing excuses."""
_SPOKEN: dict[str, Protocol] = {"tls stream": "tls", "ssh session": "ssh", "ssh stream": "ssh"}
_FORMATS = {each.name: each for each in FORMATS}


class Excuses:
    """The rules with `secrets: allow`, and the policy's `homes` of keys by format."""

    def __init__(self, rules: Iterable[Rule], homes: Mapping[str, Sequence[str]]) -> None:
        self._rules: HostIndex[Rule] = index(each for each in rules if each.document.secrets)
        self._homes = homes

    def cover(self, request: Request, program: str, past: Past) -> bool:
        """Whether one of them allows what was asked, or the request whose body it stands in."""
        asked = _asked(request, program, past)
        if asked is None:
            return False
        host, address, named = read_host(asked.host)
        if address is not None:
            found = self._rules.by_address(address)
        else:
            found = self._rules.by_name(host) if named else []
        return any(rule.allows(asked) for rule in found)

    def exchanged(self, finding: Finding, request: Request) -> bool:
        """Whether a key stands in the body of a request that gives it to its owner for another."""
        known = _FORMATS.get(finding.name) if finding.kind == "secret" else None
        asked = request.request if isinstance(request, Message) else None
        if known is None or asked is None or (asked.method, asked.scheme) != ("POST", "https"):
            return False
        homes = (*known.homes, *self._homes.get(known.name, ()))
        return asked.path.partition("?")[0] in known.exchanges and is_home(asked.host, homes)


def excusable(finding: Finding) -> bool:
    """Whether a rule may let it pass."""
    return finding.kind == "secret" and finding.name not in _HELD


def remedy(finding: Finding, host: str, guard: Guard | None) -> str:
    """What to write where a secret was right to leave."""
    where = f" ({guard.source})" if guard is not None and guard.source else ""
    ways = ["keep it out of this, or let the firewall hold it (inject)"]
    known = _FORMATS.get(finding.name)
    if known is not None and host and finding.where in known.places:
        ways.append(f"if it is for this host, write secrets: {{homes: {{{known.name}: [{host}]}}}}")
    if known is not None:
        ways.append(f"to look for no such keys, secrets: {{except: [{known.name}]}}")
    ways.append("to let secrets pass in a rule's requests, secrets: allow and a reason there")
    return f"{'; '.join(ways)}; to only record such things, guards: {{secrets: alert}}{where}"


def _asked(request: Request, program: str, past: Past) -> Asked | None:
    if isinstance(request, Message):
        if request.request is not None:
            return _asked(request.request, program, past)
        spoken = _SPOKEN.get(request.carrier, "unknown")
        return Asked(request.host, request.port, spoken, program, past=past)
    if isinstance(request, HttpRequest):
        protocol: Protocol = "tls" if request.scheme == "https" else "http"
        return Asked(
            request.host, request.port, protocol, program, request.method, request.path, past,
            request.calls,
        )  # fmt: skip
    if isinstance(request, SshChannel):
        return Asked(request.host, request.port, "ssh", program, past=past)
    return None
