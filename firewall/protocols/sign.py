"""What gave bytes away, before it is known where they stand."""

from firewall.frozen import frozen
from firewall.requests import FindingKind


@frozen
class Sign:
    """A `Finding` without its place."""

    kind: FindingKind
    name: str
    evidence: str
