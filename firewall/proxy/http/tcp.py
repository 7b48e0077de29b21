"""Streams that are not HTTP: both directions are read together, for as long as they live."""

from mitmproxy import tcp

from firewall.protocols import Conversation
from firewall.proxy.http.flow import KEY
from firewall.requests import Direction, Finding
from firewall.vault import Vault


def carrier_of(stream: tcp.TCPFlow) -> str:
    """What carries it, as findings call it."""
    return "tls stream" if stream.client_conn.tls else "tcp stream"


def look(
    stream: tcp.TCPFlow, vault: Vault, direction: Direction, content: bytes
) -> tuple[Finding, ...]:
    """What a piece of it gives away."""
    carrier = carrier_of(stream)
    watch = stream.metadata.setdefault(f"{KEY}.stream", Conversation(carrier))
    lookout = stream.metadata.setdefault(f"{KEY}.{direction}", vault.stream(carrier, direction))
    found: tuple[Finding, ...] = watch.feed(direction, content) + lookout.feed(content)
    return found
