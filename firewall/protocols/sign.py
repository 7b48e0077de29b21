"""What gave bytes away, before it is known where they stand."""

from dataclasses import dataclass

from firewall.requests import FindingKind


@dataclass(frozen=True, slots=True)
class Sign:
    """A `Finding` without its place."""

    kind: FindingKind
    name: str
    evidence: str
