"""What a person would change if a refused request was right: exact YAML, and where it goes."""

import re
from collections.abc import Sequence

from firewall.policy.addresses import parse_address
from firewall.policy.channels import FETCHING, opening
from firewall.policy.flow import quoted
from firewall.policy.hosts import is_name
from firewall.policy.lists import Entry
from firewall.policy.resolved import Guard
from firewall.policy.rules import Asked, Rule
from firewall.requests import Finding, SshChannel

SPEAK_PLAINLY = (
    "nothing lets a request pass that two servers may understand differently: send one plain head,"
    " with a valid method, one length or chunked, and no folded lines"
)
_MALFORMED = {
    "http": SPEAK_PLAINLY,
    "model-answer": (
        "ask the API for an answer as JSON or as server-sent events; where its rule need not know"
        " of the tool calls in it, take tool-calls: inspect off the rule"
    ),
}
_USUAL = {"https": 443, "http": 80, "ssh": 22}
_KIND = {"tls": "https", "http": "http", "http2": "http", "ssh": "ssh"}


def add_rule(asked: Asked, file: str, keys: str = FETCHING) -> str:
    """The rule that would allow it. "" where the host is none that a rule can name. `keys` are
    those about SSH, which a connection alone does not tell."""
    if not is_name(asked.host) and parse_address(asked.host) is None:
        return ""
    kind = _KIND.get(asked.protocol, "tcp")
    name = re.sub(r"[^a-z0-9]+", "-", asked.host).strip("-") or "new-rule"
    host = f'"{asked.host}"' if ":" in asked.host else asked.host
    parts = [f"name: {name}", f"allow: {kind}", f"hosts: [{host}]"]
    if _USUAL.get(kind) != asked.port:
        parts.append(f"ports: [{asked.port}]")
    if kind in ("https", "http"):
        parts.append(f"methods: [{(asked.method or 'GET').upper()}]")
    if kind == "ssh":
        parts.append(keys)
    return f"add to network.rules: {{{', '.join(parts)}}} ({file})"


def add_channel(asked: SshChannel, file: str) -> str:
    """The rule that would allow one thing inside SSH, and its user nothing else."""
    keys = opening(asked)
    if not keys:
        return "nothing: no rule can allow this inside SSH"
    user = f"users: [{quoted(asked.user)}], " if asked.user else ""
    return add_rule(Asked(asked.host, asked.port, "ssh", ""), file, user + keys)


def private(asked: Asked, address: str, allows: Sequence[Rule], file: str) -> str:
    """The consent that would let a rule lead to an address that is not public, if it is one."""
    if parse_address(address) is None:
        return "nothing: what the name leads to is no address"
    consent = f'addresses: ["{address}"]'
    if allows:
        return f"add to rule {allows[0].name} ({allows[0].source}): {consent}"
    rule = add_rule(asked, file)
    if not rule or asked.host == address:
        return rule
    return rule.replace("} (", f", {consent}}} (")


def listed(entry: Entry, action: Guard | None) -> str:
    """How to reach a name that a list refuses."""
    own = f"take {entry.domain} off a copy of the list and name that under lists.{entry.guard}"
    return f"{own}; or, {guard(entry.guard, action)}"


def malformed(finding: Finding) -> str:
    """What to do about HTTP that cannot be read as one thing; "" for other findings."""
    return _MALFORMED.get(finding.name, "") if finding.kind == "protocol-mismatch" else ""


def guard(name: str, guard: Guard | None) -> str:
    """How to let a guard only alert, where that can be written."""
    if guard is None:
        return "nothing: this guard is always on"
    where = f" ({guard.source})" if guard.source else ""
    if name == "ssh-reverse-forwarding":
        return (
            "nothing: no rule opens a door back in. Where a rule relays SSH unread (forwarding:"
            f" trusted), guards: {{{name}: alert}}{where} only records what ssh was told to do"
        )
    if name == "secrets":
        return (
            "keep it out of this, or let a rule set it (inject); to only record such things, write"
            f" guards: {{secrets: alert}}{where}"
        )
    return f"if this is wanted, write guards: {{{name}: alert}}{where}; it is then only recorded"
