"""Connections that a shell text opens itself: /dev/tcp, and programs that carry bytes to a host."""

import re
from collections.abc import Sequence

_DEVICE = re.compile(r"/dev/(?:tcp|udp)/([^/\s]+)/([^/\s]+)")

CARRIERS = frozenset(
    [
        "nc",
        "ncat",
        "netcat",
        "nc.openbsd",
        "nc.traditional",
        "socat",
        "telnet",
        "openssl",
        "s_client",
        "curl",
        "wget",
        "websocat",
        "cryptcat",
        "pwncat",
        "rlwrap",
    ]
)
"""Programs that join standard input and output to a connection."""


class Sockets:
    """Descriptors on which a text opened /dev/tcp or /dev/udp (bash, "Redirections")."""

    def __init__(self) -> None:
        self._hosts: dict[str, str] = {}
        self._last = ""

    def note(self, words: Sequence[str | None], descriptors: list[str], targets: list[str]) -> str:
        """The host that a command's redirections tie it to, "" where none."""
        tied = ""
        for descriptor, target in zip(descriptors, targets, strict=True):
            if device := _DEVICE.fullmatch(target):
                tied = f"{device[1]}:{device[2]}"
                self._hosts[descriptor or "1"] = tied
                self._last = tied
            elif host := self._hosts.get(target):
                tied = host
        unknown = bool(words) and words[0] is None
        return tied or (self._last if unknown else "")


def host_of(words: Sequence[str | None]) -> str:
    """The first word that looks like a host among a carrier's arguments."""
    for word in words[1:]:
        if word and not word.startswith("-") and re.search(r"[.:]|localhost", word):
            return word
    return ""
