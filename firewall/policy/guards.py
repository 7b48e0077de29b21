"""Which guard a finding is for, and how grave it is."""

from firewall.requests import Finding, FindingKind
from firewall.verdict import Severity

# protocol-mismatch has no key in the language: bytes that contradict themselves are never right.
GUARD_OF: dict[FindingKind, str] = {
    "mining": "mining",
    "tunnel": "tunnels",
    "ssh-reverse-forwarding": "ssh-reverse-forwarding",
    "protocol-mismatch": "protocol-mismatch",
    "secret": "secrets",
}
_ONLY_IF_CERTAIN = frozenset({"protocol-mismatch", "secret"})
"""Kinds that honest programs come near, and that are critical only where nothing else fits."""


def weighed(finding: Finding) -> tuple[str, Severity]:
    """The guard of a finding, and the severity of its block."""
    if finding.confidence == "suspicious":
        return "suspicious", Severity.WARNING
    unsure = finding.kind in _ONLY_IF_CERTAIN and finding.confidence != "certain"
    return GUARD_OF[finding.kind], Severity.WARNING if unsure else Severity.CRITICAL
