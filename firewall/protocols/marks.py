"""Findings with their place in a stream, and who reads one."""

from collections.abc import Callable
from typing import Protocol

from firewall.frozen import frozen
from firewall.requests import Finding


@frozen
class Mark:
    """A finding and the offset at which it became certain, which puts findings in order."""

    end: int
    finding: Finding


class Reader(Protocol):
    """Who reads what is inside of a stream (Watch)."""

    def read(self, data: bytes, *, end: bool = False) -> list[Mark]: ...


type MakeReader = Callable[[str, int], Reader]
"""Makes a reader for a carrier, whose first byte is at this offset of the stream."""
