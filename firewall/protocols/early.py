"""Text near the start of a stream that gives away what follows: banners and subscriptions."""

import re

from firewall.frozen import frozen
from firewall.protocols import ssh
from firewall.protocols.sign import Sign

_WINDOW = 4 << 10
"""Bytes in which a banner may come after other lines."""

_LONGEST = 32
"""No banner needs more to show, where it may only stand first."""

_TOPIC = re.compile(rb"\x00[\x10-\x30]\x01(json-(?:minimal|full)-(?:chain_main|miner_data))")
"""A ZMTP 3.0 frame that subscribes to a Monero node's new blocks (xmrig DaemonClient.cpp)."""


@frozen
class Found:
    """What was found, at bytes `start` to `end` (exclusive) of the stream."""

    start: int
    end: int
    sign: Sign


class Early:
    """Looks at the start of a message, or with `anywhere` at every early line of a stream.

    It stops at the first thing it finds.
    """

    def __init__(self, *, anywhere: bool, start: int = 0) -> None:
        self._anywhere = anywhere
        self._offset = start
        self._head = b""
        self._read = 0
        self._passed = False

    @property
    def finished(self) -> bool:
        """Whether nothing can be found any more before the stream is restarted."""
        return self._passed or self._read >= _WINDOW

    def restart(self) -> None:
        """Another message follows."""
        self._head, self._passed = b"", False

    def skip(self, count: int) -> None:
        """Pass over bytes in which nothing is looked for."""
        self._offset += count

    def feed(self, data: bytes) -> Found | None:
        """What `data` completes."""
        self.skip(len(data))
        if self.finished:
            return None
        before = self._offset - len(data) - len(self._head)
        data = data[: _WINDOW - self._read]
        self._head += data
        self._read += len(data)
        found = self._find()
        self._passed = not self._anywhere and len(self._head) >= _LONGEST
        if found is None:
            return None
        self._read = _WINDOW
        return Found(before + found.start(1), before + found.end(1), _sign(found))

    def _find(self) -> re.Match[bytes] | None:
        if not self._anywhere:
            return ssh.BANNER.match(self._head)
        both = (ssh.BANNER.search(self._head), _TOPIC.search(self._head))
        return min(filter(None, both), key=lambda found: found.end(1), default=None)


def _sign(found: re.Match[bytes]) -> Sign:
    text = found[1].decode()
    if found.re is _TOPIC:
        return Sign("mining", "monero-daemon", f"subscription to {text}")
    return Sign("tunnel", "chisel" if "chisel" in text else "ssh", f"SSH banner {text}")
