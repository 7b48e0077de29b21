"""A client that was judged before it said what it speaks.

One that keeps silent is taken for a client that waits for the server, and a rule of kind tcp may
let it. What it speaks then must be nothing that it would have been judged by: HTTP, TLS and SSH
have rules of their own, and names to compare.
"""

import re
from collections.abc import Callable

from firewall.protocols import Conversation, identify
from firewall.proxy.directions import Watcher
from firewall.proxy.relay import Watchers
from firewall.requests import Direction, Finding, Protocol

JUDGED_AS: frozenset[Protocol] = frozenset({"silent", "unknown"})
"""What a client is taken for as long as it has not said enough."""

type Beside = Callable[[Watcher, str, Direction], Watcher]

_JUDGED_OTHERWISE: frozenset[Protocol] = frozenset({"tls", "http", "http2", "http-connect", "ssh"})
_SHORT = 64
"""Bytes in which TLS, SSH and HTTP/2 show; HTTP/1 shows at the end of a line."""
_LIMIT = 64 << 10
_TLS = re.compile(rb"\x16\x03[\x00-\x04]..\x01", re.DOTALL)
"""A handshake record that begins with a ClientHello (RFC 8446 sections 4 and 5.1)."""


def watchers(protocol: Protocol, beside: Beside) -> Watchers:
    """What reads a flow that was judged to speak this, and what `beside` adds (vault.Vault)."""
    conversation = Conversation("tcp stream")

    def watcher(direction: Direction) -> Watcher:
        side = beside(conversation.side(direction), "tcp stream", direction)
        late = direction == "sent" and protocol in JUDGED_AS
        return Late(side) if late else side

    return watcher


class Late:
    """Watches a client's bytes from the first one on, and `watch` with it (relay.Watcher)."""

    def __init__(self, watch: Watcher) -> None:
        self._watch = watch
        self._head: bytes | None = b""

    def feed(self, data: bytes) -> tuple[Finding, ...]:
        return self._speaks(data) + self._watch.feed(data)

    def _speaks(self, data: bytes) -> tuple[Finding, ...]:
        if self._head is None:
            return ()
        looked = len(self._head)
        self._head += data
        if looked >= _SHORT and b"\n" not in data and len(self._head) < _LIMIT:
            return ()
        spoken = _spoken(self._head)
        if spoken is not None or identify(self._head) is not None:
            self._head = None
        return (_late(spoken),) if spoken is not None else ()


def _spoken(head: bytes) -> Protocol | None:
    """What a client's bytes speak that has to be judged otherwise, as soon as they show it."""
    if _TLS.match(head):
        return "tls"
    identity = identify(head, final=True)
    return identity.protocol if identity and identity.protocol in _JUDGED_OTHERWISE else None


def _late(protocol: Protocol) -> Finding:
    evidence = f"the client began to speak {protocol} after it was judged without"
    return Finding("protocol-mismatch", f"late-{protocol}", evidence, "first bytes")
