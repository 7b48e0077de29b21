"""What passes, what does not, and what a client is told."""

import contextlib
import socket
import ssl
from dataclasses import replace

import pytest

from firewall.proxy.http import serve
from firewall.requests import Finding, HttpRequest, Request
from firewall.verdict import Limit, Obligations, Verdict
from tests.unit.protocols.samples import client_hello
from tests.unit.proxy.http.stage import (
    ALLOW,
    DENY,
    HOST,
    SUBSCRIBE,
    Stage,
    answering,
    deny_http,
    deny_messages,
    echo_bodies,
    get,
    read_all,
    saying,
    send,
    speak_http2,
    swallow,
    until,
)
from tests.waiting import PATIENCE, eventually

# What passes, and what does not


def test_an_allowed_request_passes_and_is_recorded() -> None:
    with Stage() as stage:
        server = stage.upstream(answering())
        answer = stage.ask(stage.door(server.port), "/a?b=c")
        assert (answer.status_code, answer.text) == (200, "hello")
        assert b"GET /a?b=c HTTP/1.1\r\n" in server.received
        (verdict,) = stage.verdicts("HttpRequest")
        assert verdict["rule"] == "test-allow"
        assert (verdict["host"], verdict["authority"], verdict["sni"]) == (HOST, HOST, HOST)
        assert (verdict["path"], verdict["scheme"]) == ("/a?b=c", "https")
        assert verdict["port"] == server.port


def test_a_denied_request_is_explained_and_nothing_goes_upstream() -> None:
    with Stage(deny_http) as stage:
        server = stage.upstream(swallow)
        answer = stage.ask(stage.door(server.port), "/secret", "POST", content=b"data")
        assert answer.status_code == 403
        assert answer.headers["x-firewall-rule"] == "test-deny"
        assert "why: the test denies it" in answer.text
        assert "to allow it: ask the test" in answer.text
        assert f"POST https://{HOST}" in answer.text
        assert server.connections == 0
        assert stage.rules() == ["test-deny"]


def test_an_allow_that_cannot_be_recorded_is_a_deny() -> None:
    with Stage() as stage:
        server = stage.upstream(swallow)
        stage.log.broken = True
        answer = stage.ask(stage.door(server.port))
        assert answer.status_code == 403
        assert answer.headers["x-firewall-rule"] == "fail-closed.audit"
        assert server.connections == 0


@pytest.mark.parametrize("h2_upstream", [False, True])
def test_http2_from_the_client_and_either_upstream(h2_upstream: bool) -> None:
    with Stage(lambda each: DENY if getattr(each, "path", "") == "/no" else ALLOW) as stage:
        server = stage.upstream(speak_http2 if h2_upstream else answering(), h2=h2_upstream)
        door = stage.door(server.port)
        with stage.client(http2=True) as client:
            good = send(client, door, "/yes")
            bad = send(client, door, "/no")
        expected = "h2:" if h2_upstream else "hello"
        assert (good.http_version, good.status_code, good.text) == ("HTTP/2", 200, expected)
        assert (bad.http_version, bad.status_code) == ("HTTP/2", 403)
        assert "connection" not in bad.headers
        assert b"/no" not in server.received
        assert stage.rules() == ["test-allow", "test-deny"]


def test_a_grpc_call_passes_with_its_trailers() -> None:
    with Stage() as stage:
        server = stage.upstream(speak_http2, h2=True)
        with stage.client(http2=True) as client:
            answer = send(client, stage.door(server.port), "/s/m", "POST", content=b"message")
        assert answer.content == b"h2:message"
        assert server.connections == 1


def test_a_denied_grpc_call_is_told_in_grpc() -> None:
    with Stage(deny_http) as stage:
        server = stage.upstream(swallow, h2=True)
        with stage.client(http2=True) as client:
            kind = {"content-type": "application/grpc+proto"}
            answer = send(
                client, stage.door(server.port), "/s/m", "POST", content=b"x", headers=kind
            )
        assert answer.status_code == 200
        assert answer.headers["grpc-status"] == "7"
        assert "the test denies it" in answer.headers["grpc-message"]
        assert server.connections == 0


def test_an_http2_body_without_a_length_is_framed_for_http1() -> None:
    """Unframed, the body would be read as the next request: smuggled past the judge."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: good.test\r\n\r\n"
    with Stage() as stage:
        server = stage.upstream(echo_bodies)
        with stage.client(http2=True) as client:
            answer = send(client, stage.door(server.port), "/", "POST", content=iter([smuggled]))
        assert answer.status_code == 200
        assert b"transfer-encoding: chunked\r\n" in server.received.lower()
        assert b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled) in server.received


def test_every_request_of_a_connection_is_judged_by_its_own_name() -> None:
    def by_name(request: Request) -> Verdict:
        odd = isinstance(request, HttpRequest) and request.authority != request.host
        return DENY if odd else ALLOW

    with Stage(by_name) as stage:
        server = stage.upstream(answering())
        door = stage.door(server.port)
        with stage.client() as client:
            codes = [
                send(client, door, host=host).status_code for host in (HOST, "evil.test", HOST)
            ]
        assert codes == [200, 403, 200]
        assert server.connections == 1
        assert b"evil.test" not in server.received
        assert [each["authority"] for each in stage.verdicts("HttpRequest")][1] == "evil.test"


@pytest.mark.parametrize(
    "head",
    [
        "GET http://evil.test/ HTTP/1.1\r\nHost: good.test",
        "GET / HTTP/1.1\r\nHost: evil.test:443",
    ],
)
def test_whatever_names_another_host_is_what_is_judged(head: str) -> None:
    with Stage(deny_http) as stage:
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(head.encode() + b"\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 403 ")
        (verdict,) = stage.verdicts("HttpRequest")
        assert (verdict["host"], verdict["authority"]) == (HOST, "evil.test")
        assert server.connections == 0


# What is not HTTP


def test_stratum_inside_tls_is_judged_and_never_sent() -> None:
    with Stage(deny_messages) as stage:
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(SUBSCRIBE)
            assert read_all(client) == b""
        (verdict,) = stage.verdicts("Message")
        assert verdict["carrier"] == "tls stream"
        assert verdict["findings"][0]["kind"] == "mining"
        assert server.connections == 0


def test_other_bytes_inside_tls_are_a_mismatch() -> None:
    with Stage(deny_messages) as stage:
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(b"\x00\x01\x02\x03 hello\n" * 10)
            assert read_all(client) == b""
        (verdict,) = stage.verdicts("Message")
        assert verdict["findings"][0]["kind"] == "protocol-mismatch"
        assert server.connections == 0


def test_tls_inside_tls_is_a_tunnel() -> None:
    with Stage(deny_messages) as stage:
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(client_hello())
            assert read_all(client) == b""
        (verdict,) = stage.verdicts("Message")
        (finding,) = verdict["findings"]
        assert (finding["kind"], finding["name"]) == ("tunnel", "tls-in-tls")
        assert server.connections == 0


def test_what_is_only_suspicious_opens_no_way_for_what_is_not_http(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd = Finding("tunnel", "odd", "the test says so", "first bytes", "suspicious")
    monkeypatch.setattr("firewall.protocols.Watch.feed", lambda *_: (odd,))
    with Stage(deny_messages) as stage:
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(b"\x00\x01\x02\x03 hello\n" * 10)
            assert read_all(client) == b""
        (verdict,) = stage.verdicts("Message")
        assert [each["name"] for each in verdict["findings"]] == ["odd", "unknown"]
        assert server.connections == 0


def test_an_allowed_stream_is_relayed_and_watched() -> None:
    def mining(request: Request) -> Verdict:
        kinds = [each.kind for each in getattr(request, "findings", ())]
        return DENY if "mining" in kinds else ALLOW

    with Stage(mining) as stage:
        server = stage.upstream(saying(b"welcome\r\n"))
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(b"\x00\x01 opening\n")
            assert client.recv(65536) == b"welcome\r\n"
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(b"\x00\x01 opening\n")
            eventually(lambda: server.received)
            client.sendall(SUBSCRIBE)
            assert read_all(client) == b""
        assert server.received == b"\x00\x01 opening\n"


def test_a_client_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "FIRST_SECONDS", 3)
    with Stage(deny_messages) as stage, stage.tls(stage.door(1)) as client:
        client.sendall(b"GE")
        assert read_all(client) == b""
        assert stage.wait_ended().sent > 0


# Refusals and the HTTP proxy


def test_a_refused_flow_is_told_the_verdict_that_was_handed_over() -> None:
    with Stage() as stage:
        server = stage.upstream(swallow)
        door = stage.door(server.port, kind="refuse", verdict=DENY, address=None)
        for http2 in (False, True):
            answer = stage.ask(door, "/x", http2=http2)
            assert answer.status_code == 403
            assert answer.headers["x-firewall-rule"] == "test-deny"
        with stage.client() as client:
            assert send(client, door, scheme="http").status_code == 403
        assert server.connections == 0
        assert stage.log.events == []


def test_a_refused_flow_is_told_what_would_allow_its_request() -> None:
    def decide(request: Request) -> Verdict:
        method = request.method if isinstance(request, HttpRequest) else "GET"
        return replace(DENY, remedy=f"allow {method}")

    with Stage(decide) as stage:
        server = stage.upstream(swallow)
        door = stage.door(server.port, kind="refuse", verdict=DENY, address=None)
        with stage.client() as client:
            assert "to allow it: allow POST" in send(client, door, "/x", "POST", scheme="http").text
        assert stage.log.events == []


def test_mining_towards_a_refused_host_is_recorded() -> None:
    with Stage() as stage:
        server = stage.upstream(swallow)
        door = stage.door(server.port, kind="refuse", verdict=DENY, address=None)
        with stage.tls(door) as client:
            client.sendall(SUBSCRIBE)
            assert read_all(client) == b""
        (verdict,) = stage.verdicts("Message")
        assert verdict["findings"][0]["kind"] == "mining"
        assert server.connections == 0


def forward(port: int, host: str = HOST) -> bytes:
    return (
        f"GET http://{host}:{port}/a HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Proxy-Authorization: Basic c2VjcmV0\r\n\r\n"
    ).encode()


def test_an_http_proxy_client_reaches_the_judged_address_only() -> None:
    def no_metadata(request: Request) -> Verdict:
        return DENY if getattr(request, "address", None) == "127.0.0.2" else ALLOW

    with Stage(no_metadata) as stage:
        stage.policy.names = {HOST: "127.0.0.1", "rebound.test": "127.0.0.2"}
        server = stage.upstream(answering(), tls=False)
        door = stage.door(0, kind="forward", address=None, host="", sni=None)
        with socket.create_connection(("127.0.0.1", door), timeout=PATIENCE) as client:
            for _ in range(2):
                client.sendall(forward(server.port))
                assert until(client, b"hello").startswith(b"HTTP/1.1 200 OK")
            client.sendall(forward(server.port, "rebound.test"))
            assert until(client, b"why:").startswith(b"HTTP/1.1 403 ")
        assert server.connections == 1
        assert server.received.startswith(b"GET /a HTTP/1.1\r\n")
        assert b"proxy-authorization" not in server.received.lower()
        addresses = [each["address"] for each in stage.verdicts("Connect")]
        assert addresses == ["127.0.0.1", "127.0.0.2"]


def test_a_name_that_leads_nowhere_is_a_502() -> None:
    with Stage() as stage:
        door = stage.door(0, kind="forward", address=None, host="", sni=None)
        with socket.create_connection(("127.0.0.1", door), timeout=PATIENCE) as client:
            client.sendall(forward(1, "nowhere.invalid"))
            answer = until(client, b"resolved")
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"nowhere.invalid cannot be resolved" in answer


def test_connect_inside_the_http_proxy_is_judged_by_what_is_spoken() -> None:
    def no_evil(request: Request) -> Verdict:
        return DENY if getattr(request, "host", "") == "evil.test" else ALLOW

    with Stage(no_evil) as stage:
        stage.policy.names = {HOST: "127.0.0.1"}
        server = stage.upstream(answering())
        door = stage.door(0, kind="forward", address=None, host="", sni=None)
        for host, code in ((HOST, b"200"), ("evil.test", b"403")):
            with socket.create_connection(("127.0.0.1", door), timeout=PATIENCE) as plain:
                place = f"{host}:{server.port}"
                plain.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
                assert plain.recv(65536).startswith(b"HTTP/1.1 200 ")
                context = ssl.create_default_context(cafile=stage.our_ca)
                with context.wrap_socket(plain, server_hostname=host) as client:
                    client.sendall(get().replace(HOST.encode(), host.encode()))
                    assert client.recv(65536).startswith(b"HTTP/1.1 " + code)
        assert server.connections == 1
        connects = [(each["host"], each["protocol"]) for each in stage.verdicts("Connect")]
        assert connects == [(HOST, "tls"), (HOST, "tls"), ("evil.test", "tls")]


def test_the_answer_of_a_mining_pool_is_not_passed_on() -> None:
    pool = b"HTTP/1.1 200 OK\r\nX-Stratum: stratum+tcp://a:1\r\nContent-Length: 4\r\n\r\nwork"
    with Stage(deny_messages) as stage:
        server = stage.upstream(saying(pool))
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(get("/", "Connection: close"))
            answer = read_all(client)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"why: the test denies it" in answer
        assert b"4\r\n\r\nwork" not in answer
        assert b"stratum+tcp" not in answer
        (verdict,) = stage.verdicts("Message")
        assert verdict["direction"] == "received"
        assert verdict["findings"][0]["evidence"] == "header x-stratum"


SENT = Limit("pinned", "sent", 50_000, 3600, "host", "50KB/h", "p.yaml:7")
LIMITED = replace(ALLOW, obligations=Obligations("passthrough", limits=(SENT,)))


def test_what_is_passed_through_inside_the_http_proxy_is_counted() -> None:
    with Stage(lambda _: LIMITED) as stage:
        stage.policy.names = {HOST: "127.0.0.1"}
        server = stage.upstream(answering())
        door = stage.door(0, kind="forward", address=None, host="", sni=None)
        with socket.create_connection(("127.0.0.1", door), timeout=PATIENCE) as plain:
            place = f"{HOST}:{server.port}"
            plain.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
            assert plain.recv(65536).startswith(b"HTTP/1.1 200 ")
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain, server_hostname=HOST) as client:
                client.sendall(get("/", "Content-Length: 0"))
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
                with contextlib.suppress(OSError):
                    client.sendall(get("/", "Content-Length: 99999") + bytes(99999))
                    assert client.recv(65536) == b""
        denied = [each for each in stage.log.events if each["verdict"]["action"] == "deny"]
        assert [each["verdict"]["rule"] for each in denied] == ["limits.pinned"]
        assert len(server.received) < 50_000
