"""What in an HTTP request asks for a tunnel."""

from firewall.requests import HttpRequest

_HARMLESS = frozenset({"", "websocket", "h2c"})
"""Upgrades that make no tunnel: WebSocket's messages are read, and h2c is declined on the way."""


def tunnel(request: HttpRequest) -> str:
    """What in a request asks for a tunnel, or ""."""
    if request.method.upper() == "CONNECT":
        return "CONNECT"
    offers = {each.strip() for each in (request.upgrade or "").split(",")}
    return f"upgrade to {request.upgrade}" if offers - _HARMLESS else ""
