"""HTTP heads of mining and tunnel software: upgrades, header names, user agents."""

import base64
import json
import re
from collections.abc import Iterable, Sequence

from firewall.requests import Confidence, Finding, FindingKind

_WHERE = "request head"

_UPGRADES = {
    "derp": ("derp", "Upgrade: DERP"),  # Tailscale derp/derphttp/derphttp_client.go
    "tailscale-control-protocol": ("tailscale", "Upgrade: tailscale-control-protocol"),
    "connect-udp": ("connect-udp", "Upgrade: connect-udp"),  # RFC 9298
    "connect-ip": ("connect-ip", "Upgrade: connect-ip"),  # RFC 9484
}
_H2C = "h2c", "Upgrade: h2c, which hides requests from proxies"
"""RFC 7540 section 3.2."""

_MINING_HEADERS = {b"x-mining-extensions", b"x-mining-hashrate", b"x-stratum"}
"""Sent by cpuminer (cpu-miner.c), cgminer and bfgminer (util.c), and by getwork pools."""

_ANSWERED_HEADERS = {
    b"x-stratum", b"x-long-polling", b"x-roll-ntime", b"x-reject-reason", b"x-mining-extensions",
    b"x-mining-hashrate", b"x-is-p2pool",
}  # fmt: skip
"""Of getwork pools (cgminer util.c, cpuminer util.c): where to mine, why a share was refused."""

_MINERS = re.compile(
    rb"(?i:xmrig|xmr-stak|xmrigcc|cgminer|bfgminer|sgminer|cpuminer|ccminer|ethminer|nbminer|lolminer|"
    rb"gminer|t-rex|phoenixminer|teamredminer|minerd|nheqminer|srbminer|ton-pool-miner|"
    rb"wildrig|nanominer|bzminer|miniz|ewbf|xmrig-proxy)(?:-[a-z]+)*(?:[ /]|\Z)"
)
_CHISEL = re.compile(rb"chisel-v[0-9]+")
_BEARER = b"authorization.bearer."
_JWT = re.compile(rb"[A-Za-z0-9_-]{2,}\.([A-Za-z0-9_-]{2,4096})\.[A-Za-z0-9_-]+")
_WSTUNNEL_CLAIMS = {"id", "p", "r", "rp"}
"""wstunnel transport/jwt.rs: what to do, the remote host and its port."""

_PATHS = {
    "/ts2021": ("tailscale", "request for /ts2021"),  # Tailscale control/controlhttp
    # MS-SSTP section 3.2.4.1; SoftEther Cedar/Protocol.h
    "/sra_{ba195980-cd49-458b-9e23-c84ee0adcd75}/": ("sstp", "request for the SSTP path"),
    "/vpnsvc/connect.cgi": ("softether", "request for /vpnsvc/connect.cgi"),
    "/vpnsvc/vpn.cgi": ("softether", "request for /vpnsvc/vpn.cgi"),
}
_MASQUE = "/.well-known/masque/"
"""RFC 9298 section 2 and RFC 9484 section 4."""

_PHT = re.compile(r"/[^?]*(?:push|pull)\?token=[0-9a-v]{20}")
"""gost internal/util/pht/client.go: a connection's id by rs/xid, in base32hex."""


def inspect_request(
    method: str, target: str, headers: Sequence[tuple[bytes, bytes]]
) -> tuple[Finding, ...]:
    """What an HTTP request's head gives away. Header names may be in any case."""
    findings = _inspect_line(method, target)
    for name, value in headers:
        findings += _inspect_header(name.lower(), value)
    return tuple(dict.fromkeys(findings))


def inspect_response(headers: Iterable[tuple[bytes, bytes]]) -> tuple[Finding, ...]:
    """What the head of an HTTP response gives away. Header names may be in any case."""
    names = [name.strip().lower() for name, _ in headers]
    if _ANSWERED_HEADERS.isdisjoint(names):
        return ()
    return tuple(
        Finding("mining", "http-getwork", f"header {name.decode()}", "response head")
        for name in dict.fromkeys(names)
        if name in _ANSWERED_HEADERS
    )


def _inspect_line(method: str, target: str) -> list[Finding]:
    path = target.partition("?")[0]
    if method == "CONNECT":
        return [_finding("tunnel", "http-connect", f"CONNECT {target}")]
    if target == "/?new":  # localtunnel lib/Tunnel.js
        return [_finding("tunnel", "localtunnel", "request for /?new")]
    if known := _PATHS.get(path.lower()):
        return [_finding("tunnel", *known)]
    if path.startswith(_MASQUE):
        return [_finding("tunnel", "masque", f"request for {_MASQUE}")]
    if _PHT.fullmatch(target):
        return [_finding("tunnel", "gost", "pushes or pulls under a connection's id", "likely")]
    return []


def _inspect_header(name: bytes, value: bytes) -> list[Finding]:
    if name in _MINING_HEADERS:
        return [_finding("mining", "http-getwork", f"header {name.decode()}")]
    if name == b"user-agent" and (miner := _MINERS.match(value)):
        return [_finding("mining", "miner", f"User-Agent {miner[0].decode().strip(' /')}")]
    if name == b"upgrade":
        return _inspect_upgrade(value)
    if name == b"sec-websocket-protocol":
        return _inspect_subprotocol(value)
    if name == b"cookie" and _asks_wstunnel(value):
        return [_finding("tunnel", "wstunnel", "cookie with wstunnel's claims")]
    return []


def _inspect_upgrade(value: bytes) -> list[Finding]:
    offers = [offer.strip().lower() for offer in value.decode("latin-1").split(",")]
    known = [_UPGRADES[offer] for offer in offers if offer in _UPGRADES]
    findings = [_finding("tunnel", tool, evidence) for tool, evidence in known]
    # Honest clients ask for it too; what is wrong with it is only that it goes unread.
    return findings + [_finding("tunnel", *_H2C, "suspicious")] * ("h2c" in offers)


def _inspect_subprotocol(value: bytes) -> list[Finding]:
    """chisel share/version.go; wstunnel transport/websocket.rs puts a JWT here."""
    if chisel := _CHISEL.search(value):
        return [_finding("tunnel", "chisel", f"WebSocket protocol {chisel[0].decode()}")]
    if _BEARER in value:
        return [_finding("tunnel", "wstunnel", "WebSocket protocol authorization.bearer.*")]
    return []


def _asks_wstunnel(value: bytes) -> bool:
    """Over HTTP/2 the token is the whole cookie (wstunnel transport/http2.rs)."""
    token = _JWT.fullmatch(value.strip())
    if not token:
        return False
    try:
        claims = json.loads(base64.urlsafe_b64decode(token[1] + b"==="))
    except (ValueError, RecursionError):
        return False
    return isinstance(claims, dict) and claims.keys() >= _WSTUNNEL_CLAIMS


def _finding(
    kind: FindingKind, name: str, evidence: str, confidence: Confidence = "certain"
) -> Finding:
    return Finding(kind, name, evidence, _WHERE, confidence)
