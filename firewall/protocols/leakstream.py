"""Keys of known formats in a stream, however it is cut up."""

from firewall.keyformats import SPAN
from firewall.protocols.leaks import Finder, Leak

KEEP = 4 * SPAN
"""Bytes that are kept for what follows: the longest key, percent-encoded."""
TOLD = 16
"""Keys of one format and stream that are told, so that no peer can flood the log. Of each format
apart: sixteen numbers of keys, which pass, must not hide the key that follows them."""


class Leaks:
    """Follows one direction of a stream, looking again at the end of what came before with what
    comes. Each key is told once."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._tail = b""
        self._base = 0
        self._told: dict[str, set[bytes]] = {}

    def feed(self, data: bytes) -> list[Leak]:
        """The keys that these bytes complete."""
        if not self._finder or not data:
            return []
        text = self._tail + data
        found = self._finder.find(text, first=not self._base)
        base, self._tail = self._base, text[-KEEP:]
        self._base += len(text) - len(self._tail)
        return [
            Leak(each.format, each.secret, base + each.at if each.at >= 0 else -1, each.coding)
            for each in found
            if self._is_new(each)
        ]

    def _is_new(self, leak: Leak) -> bool:
        told = self._told.setdefault(leak.format.name, set())
        if leak.secret in told or len(told) >= TOLD:
            return False
        told.add(leak.secret)
        return True
