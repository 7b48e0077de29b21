"""HTTP heads of tunnels and miners."""

import base64
import json

import pytest

from firewall.protocols import Watch, inspect_request, inspect_response
from firewall.requests import FindingKind


def jwt(claims: dict[str, object]) -> bytes:
    """A token with these claims (RFC 7519), unsigned."""
    parts = ({"alg": "none"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in parts)
    return b".".join(encoded) + b".c2ln"


WSTUNNEL = jwt({"id": "0190", "p": {"Tcp": {}}, "r": "inside", "rp": 22})

CASES: list[tuple[str, str, list[tuple[bytes, bytes]], FindingKind, str]] = [
    ("CONNECT", "a:443", [], "tunnel", "http-connect"),
    ("GET", "/?new", [], "tunnel", "localtunnel"),
    ("POST", "/ts2021?x", [], "tunnel", "tailscale"),
    ("GET", "/derp", [(b"Upgrade", b"DERP")], "tunnel", "derp"),
    ("POST", "/", [(b"upgrade", b"tailscale-control-protocol")], "tunnel", "tailscale"),
    ("GET", "/", [(b"Upgrade", b"websocket, DERP")], "tunnel", "derp"),
    ("GET", "/", [(b"Sec-WebSocket-Protocol", b"chisel-v3")], "tunnel", "chisel"),
    (
        "GET",
        "/v1/events",
        [(b"Sec-WebSocket-Protocol", b"v1, authorization.bearer.eyJ0.e30.x")],
        "tunnel",
        "wstunnel",
    ),
    ("POST", "/", [(b"X-Mining-Extensions", b"longpoll")], "mining", "http-getwork"),
    ("POST", "/v1/events", [(b"cookie", WSTUNNEL)], "tunnel", "wstunnel"),
    ("POST", "/push?token=cv37rmc1eg6s73bq4h2g", [], "tunnel", "gost"),
    ("GET", "/x/pull?token=cv37rmc1eg6s73bq4h2g", [], "tunnel", "gost"),
    ("GET", "/.well-known/masque/udp/192.0.2.1/443/", [], "tunnel", "masque"),
    (
        "SSTP_DUPLEX_POST",
        "/sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/",
        [],
        "tunnel",
        "sstp",
    ),
    ("POST", "/vpnsvc/connect.cgi", [], "tunnel", "softether"),
    ("GET", "/job", [(b"user-agent", b"ton-pool-miner/0.3.3")], "mining", "miner"),
    ("GET", "/", [(b"User-Agent", b"xmrig-proxy/6.22.0 (Linux)")], "mining", "miner"),
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
        (b"Cookie", b"session=" + WSTUNNEL),
        (b"Cookie", jwt({"sub": "bob", "exp": 1})),
        (b"Cookie", b"eyJ.!.x"),
        (b"Cookie", b"aa.bbbb.cc"),
        (b"Authorization", b"Bearer " + WSTUNNEL),
    ]
    for target in (
        "/api/process-mining/subscribe?new",
        "/push?token=abc",
        "/pull?token=X" + "a" * 19,
    ):
        assert inspect_request("GET", target, headers) == ()


def test_findings_come_once() -> None:
    assert len(inspect_request("GET", "/", [(b"Upgrade", b"derp")] * 3)) == 1


POOL = b"HTTP/1.1 200 OK\r\nX-Long-Polling: /lp\r\nx-stratum: stratum+tcp://a:1\r\n\r\n"


@pytest.mark.parametrize(
    "name", [b"X-Stratum", b"x-long-polling", b"X-Roll-NTime", b"X-Reject-Reason"]
)
def test_answers_of_pools(name: bytes) -> None:
    (finding,) = inspect_response([(b"Date", b"now"), (name, b"1"), (name, b"2")])
    assert finding.evidence == f"header {name.decode().lower()}"
    assert (finding.kind, finding.name, finding.where) == (
        "mining",
        "http-getwork",
        "response head",
    )


def test_honest_answers() -> None:
    headers = [(b"X-Request-Id", b"x-stratum"), (b"Server", b"stratum"), (b"X-Poll", b"long")]
    assert inspect_response(headers) == ()


@pytest.mark.parametrize("size", [1, 7, 999])
def test_answers_of_pools_in_the_clear(size: int) -> None:
    watch = Watch("tcp stream", "received")
    found = [
        finding.evidence
        for at in range(0, len(POOL), size)
        for finding in watch.feed(POOL[at : at + size])
    ]
    assert found == ["header x-long-polling", "header x-stratum"]
