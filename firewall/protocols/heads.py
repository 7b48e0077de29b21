"""HTTP heads of mining and tunnel software: upgrades, header names, user agents."""

import re
from collections.abc import Sequence

from firewall.requests import Finding, FindingKind

_WHERE = "request head"

_UPGRADES = {
    "derp": ("derp", "Upgrade: DERP"),  # Tailscale derp/derphttp/derphttp_client.go
    "tailscale-control-protocol": ("tailscale", "Upgrade: tailscale-control-protocol"),
    "h2c": ("h2c", "Upgrade: h2c, which hides requests from proxies"),  # RFC 7540 section 3.2
    "connect-udp": ("connect-udp", "Upgrade: connect-udp"),  # RFC 9298
    "connect-ip": ("connect-ip", "Upgrade: connect-ip"),  # RFC 9484
}
_MINING_HEADERS = {b"x-mining-extensions", b"x-mining-hashrate", b"x-stratum"}
"""Sent by cpuminer (cpu-miner.c), cgminer and bfgminer (util.c), and by getwork pools."""

_MINERS = re.compile(
    rb"(?i:xmrig|xmr-stak|xmrigcc|cgminer|bfgminer|sgminer|cpuminer|ccminer|ethminer|nbminer|lolminer|"
    rb"gminer|t-rex|phoenixminer|teamredminer|minerd|nheqminer|srbminer)(?:-[a-z]+)?(?:[ /]|\Z)"
)
_CHISEL = re.compile(rb"chisel-v[0-9]+")
_WSTUNNEL = re.compile(rb"authorization\.bearer\.")


def inspect_request(
    method: str, target: str, headers: Sequence[tuple[bytes, bytes]]
) -> tuple[Finding, ...]:
    """What an HTTP request's head gives away. Header names may be in any case."""
    findings = _inspect_line(method, target)
    for name, value in headers:
        findings += _inspect_header(name.lower(), value)
    return tuple(dict.fromkeys(findings))


def _inspect_line(method: str, target: str) -> list[Finding]:
    path = target.partition("?")[0]
    if method == "CONNECT":
        return [_finding("tunnel", "http-connect", f"CONNECT {target}")]
    if target == "/?new":  # localtunnel lib/Tunnel.js
        return [_finding("tunnel", "localtunnel", "request for /?new")]
    if path == "/ts2021":  # Tailscale control/controlhttp
        return [_finding("tunnel", "tailscale", "request for /ts2021")]
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
    return []


def _inspect_upgrade(value: bytes) -> list[Finding]:
    offers = [offer.strip().lower() for offer in value.decode("latin-1").split(",")]
    known = [_UPGRADES[offer] for offer in offers if offer in _UPGRADES]
    return [_finding("tunnel", tool, evidence) for tool, evidence in known]


def _inspect_subprotocol(value: bytes) -> list[Finding]:
    """chisel share/version.go; wstunnel transport/websocket.rs puts a JWT here."""
    if chisel := _CHISEL.search(value):
        return [_finding("tunnel", "chisel", f"WebSocket protocol {chisel[0].decode()}")]
    if _WSTUNNEL.search(value):
        return [_finding("tunnel", "wstunnel", "WebSocket protocol authorization.bearer.*")]
    return []


def _finding(kind: FindingKind, name: str, evidence: str) -> Finding:
    return Finding(kind, name, evidence, _WHERE)
