"""HTTP heads of tunnels and miners."""

import pytest

from firewall.protocols import inspect_request
from firewall.requests import FindingKind

CASES: list[tuple[str, str, list[tuple[bytes, bytes]], FindingKind, str]] = [
    ("CONNECT", "a:443", [], "tunnel", "http-connect"),
    ("GET", "/?new", [], "tunnel", "localtunnel"),
    ("POST", "/ts2021?x", [], "tunnel", "tailscale"),
    ("GET", "/derp", [(b"Upgrade", b"DERP")], "tunnel", "derp"),
    ("POST", "/", [(b"upgrade", b"tailscale-control-protocol")], "tunnel", "tailscale"),
    ("GET", "/", [(b"Upgrade", b"websocket, H2C")], "tunnel", "h2c"),
    ("GET", "/", [(b"Sec-WebSocket-Protocol", b"chisel-v3")], "tunnel", "chisel"),
    (
        "GET",
        "/v1/events",
        [(b"Sec-WebSocket-Protocol", b"v1, authorization.bearer.eyJ0.e30.x")],
        "tunnel",
        "wstunnel",
    ),
    ("POST", "/", [(b"X-Mining-Extensions", b"longpoll")], "mining", "http-getwork"),
    ("POST", "/json_rpc", [(b"User-Agent", b"XMRig/6.26.0")], "mining", "miner"),
    ("POST", "/", [(b"User-Agent", b"cgminer 3.7.2")], "mining", "miner"),
]


@pytest.mark.parametrize(("method", "target", "headers", "kind", "name"), CASES)
def test_finds(
    method: str, target: str, headers: list[tuple[bytes, bytes]], kind: FindingKind, name: str
) -> None:
    (finding,) = inspect_request(method, target, headers)
    assert (finding.kind, finding.name, finding.where) == (kind, name, "request head")


def test_honest_requests() -> None:
    headers = [
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Protocol", b"graphql-ws"),
        (b"User-Agent", b"Mozilla/5.0 (miner review)"),
        (b"Referer", b"https://example.com/xmrig"),
    ]
    assert inspect_request("GET", "/api/process-mining/subscribe?new", headers) == ()


def test_findings_come_once() -> None:
    assert len(inspect_request("GET", "/", [(b"Upgrade", b"derp")] * 3)) == 1
