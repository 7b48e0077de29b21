"""Findings with their place in a stream."""

from dataclasses import dataclass

from firewall.requests import Finding


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding and the offset at which it became certain, which puts findings in order."""

    end: int
    finding: Finding
