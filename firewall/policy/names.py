"""What a request must not be besides: one for another name than its connection's, or a tunnel.

One name everywhere: of the connection, of its TLS handshake, and of the request on it.
"""

from collections.abc import Sequence

from firewall.policy.addresses import Address, parse_address
from firewall.policy.hosts import normalise
from firewall.policy.rules import Rule
from firewall.requests import Connect, HttpRequest

_HARMLESS = frozenset({"", "websocket", "h2c"})
"""Upgrades that make no tunnel: WebSocket's messages are read, and h2c is declined on the way."""


def nameless(request: Connect, allows: Sequence[Rule]) -> bool:
    """Whether a TLS stream to a name hides which host it is for, and no tcp rule says that any
    bytes are fine."""
    named = parse_address(normalise(request.host)) is None
    only_https = all(rule.document.kind == "https" for rule in allows)
    return request.protocol == "tls" and request.sni is None and named and only_https


def contradiction(request: HttpRequest, host: str, address: Address | None) -> str:
    """How the names of a request disagree, or ""."""
    authority, sni = request.authority, request.sni
    if request.authority_port not in (None, request.port):
        stated = f"{authority}:{request.authority_port}"
        return f"the request is for {stated!r}, the connection goes to port {request.port}"
    if address is None:
        if authority != host and normalise(authority) != host:
            return f"the request is for {authority!r}, the connection goes to {host!r}"
        if sni is not None and sni != host and normalise(sni) != host:
            return f"the TLS handshake names {sni!r}, the connection {host!r}"
        return ""
    named = normalise(authority)
    if parse_address(named) == address or (sni is not None and named == normalise(sni)):
        return ""
    return f"the request is for {authority!r}, the connection goes to {host}"


def tunnel(request: HttpRequest) -> str:
    """What in a request asks for a tunnel, or ""."""
    if request.method.upper() == "CONNECT":
        return "CONNECT"
    if request.upgrade is None:
        return ""
    offers = {each.strip() for each in request.upgrade.split(",")}
    return f"upgrade to {request.upgrade}" if offers - _HARMLESS else ""


def answered(kind: str) -> str:
    """Why a DNS question of this type is answered; "" where it is not, as it can carry data out."""
    match kind.upper():
        case "A" | "AAAA":
            return "the firewall answers with an address of its own and judges the connection"
        case "HTTPS" | "SVCB":
            return "answered empty, so that clients ask for addresses"
    return ""
