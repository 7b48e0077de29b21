"""Bodies, framing and trouble on the way: end to end on loopback."""

import asyncio
import gzip
import socket
import ssl

import pytest

from firewall.protocols.http1 import LIMIT
from firewall.proxy.http import serve
from firewall.requests import Request
from firewall.verdict import Verdict
from tests.unit.proxy.http.stage import (
    ALLOW,
    DENY,
    HOST,
    LOGIN,
    Stage,
    answering,
    deny_http,
    deny_messages,
    echo_bodies,
    flood,
    get,
    read_all,
    saying,
    send,
    swallow,
    until,
)

# Bodies


def test_a_refused_upload_is_answered_before_it_is_over() -> None:
    with Stage(deny_http) as stage:
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            head = f"PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000000\r\n\r\n"
            client.sendall(head.encode() + b"x" * 100_000)
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"connection: close" in answer.lower()
        assert server.connections == 0


def test_a_refused_upload_is_not_read_for_ever() -> None:
    with Stage(deny_http) as stage:
        with stage.tls(stage.door(1)) as client:
            head = f"PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000000\r\n\r\n"
            client.sendall(head.encode())
            with pytest.raises((ConnectionError, ssl.SSLError)):
                flood(client, b"x" * 100_000, 1000)
        assert stage.wait_ended().sent < 40_000_000


@pytest.mark.parametrize(
    ("allowed", "first"), [(True, b"HTTP/1.1 100 "), (False, b"HTTP/1.1 403 ")]
)
def test_100_continue_follows_the_verdict(allowed: bool, first: bytes) -> None:
    with Stage(lambda _: ALLOW if allowed else DENY) as stage:
        server = stage.upstream(echo_bodies)
        with stage.tls(stage.door(server.port)) as client:
            head = f"PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\n"
            client.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
            assert client.recv(65536).startswith(first)
            if allowed:
                client.sendall(b"end")
                assert b"HTTP/1.1 200 OK" in until(client, b"ok")
        assert server.connections == int(allowed)


def test_head_and_204_have_no_body() -> None:
    def not_no(request: Request) -> Verdict:
        return DENY if getattr(request, "path", "") == "/no" else ALLOW

    with Stage(not_no) as stage:
        server = stage.upstream(saying(b"HTTP/1.1 204 No Content\r\n\r\n"))
        door = stage.door(server.port)
        with stage.client() as client:
            refused = send(client, door, "/no", "HEAD")
            empty = send(client, door, "/")
        assert (refused.status_code, refused.content) == (403, b"")
        assert (empty.status_code, empty.content) == (204, b"")


def test_a_response_is_streamed() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await reader.read(65536)

    with Stage() as stage:
        server = stage.upstream(slow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(get())
            data = until(client, b"first")
        assert data.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("http2", [False, True])
def test_a_finding_in_a_request_body_is_judged_before_it_is_sent(
    encoding: str, http2: bool
) -> None:
    body = gzip.compress(LOGIN) if encoding == "gzip" else LOGIN
    with Stage(deny_messages) as stage:
        server = stage.upstream(echo_bodies)
        answer = stage.ask(
            stage.door(server.port),
            method="POST",
            content=body,
            headers={"content-encoding": encoding},
            http2=http2,
        )
        assert answer.status_code == 403
        (verdict,) = stage.verdicts("Message")
        assert (verdict["carrier"], verdict["direction"]) == ("http body", "sent")
        assert verdict["findings"][0]["kind"] == "mining"
        assert body not in server.received


def test_a_finding_in_a_response_cuts_it() -> None:
    job = b'{"id":null,"method":"mining.notify","params":["1","a","b","c",[],"2","3","4",true]}\n'
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(job), job)
    with Stage(deny_messages) as stage:
        server = stage.upstream(saying(reply))
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(get())
            assert job not in read_all(client)
        (verdict,) = stage.verdicts("Message")
        assert verdict["direction"] == "received"


def test_a_finding_that_is_allowed_passes() -> None:
    with Stage() as stage:
        server = stage.upstream(echo_bodies)
        body = LOGIN + b"end"
        answer = stage.ask(stage.door(server.port), method="POST", content=body)
        assert answer.status_code == 200
        assert len(stage.verdicts("Message")) == 1
        assert body in server.received


# Framing that two parsers may read differently


def post(*headers: str) -> bytes:
    lines = ["POST / HTTP/1.1", f"Host: {HOST}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "why"),
    [
        (post("Content-Length: 5", "Transfer-Encoding: chunked"), "write one of them"),
        (post("Transfer-Encoding: xchunked"), "only Transfer-Encoding: chunked"),
        (post("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), "only Transfer-Enc"),
        (post("Content-Length: 1", "Content-Length: 2"), "write one decimal number"),
        (post("Content-Length: +1"), "write one decimal number"),
        (get("/", "X: a\rTransfer-Encoding: chunked"), "malformed header line 2"),
        (get("/", "X: a", " folded"), "malformed header line 3"),
        (get("/", "Bad Name: a"), "malformed header line 2"),
        (get("/", "X: a\0b"), "malformed header line 2"),
        (get("/", "Connection: close, host"), "Connection names host"),
        (get("/").replace(b"\r", b""), "does not end with CR LF"),
        (get("/").replace(b"1.1", b"1.2"), "malformed request line"),
        (get("/", "X: " + "a" * LIMIT), "longer than"),
        (
            b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            "CONNECT inside a connection that has its destination",
        ),
    ],
)
def test_ambiguous_requests_are_refused_by_a_guard(
    request_bytes: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Stage(deny_messages) as stage:
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(request_bytes)
            answer = read_all(client)
        status = b"431" if b"longer than" in answer else b"400"
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"Blocked by the firewall" in answer
        assert b"validate_inbound_headers" not in answer
        assert server.connections == 0
        (record,) = stage.verdicts("Message")
        assert stage.rules() == ["test-deny"]
        (finding,) = record["findings"]
        assert (finding["kind"], finding["where"]) == ("protocol-mismatch", "request head")
        assert why in finding["evidence"]
    assert not [each for each in caplog.records if each.exc_info]


def test_an_ambiguous_request_is_refused_though_nothing_is_blocked() -> None:
    """In observe mode the verdict says allowed; no server may get to guess."""
    with Stage() as stage:
        server = stage.upstream(swallow)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(get("/", "X: a", " folded"))
            assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert server.connections == 0


@pytest.mark.parametrize("target", [b"foo", b"ftp://good.test/", b"https://good.test@evil.test/"])
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: good.test\r\n\r\n"])
def test_a_head_that_cannot_be_read_is_recorded(target: bytes, before: bytes) -> None:
    with Stage() as stage:
        server = stage.upstream(answering())
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(before + b"GET %b HTTP/1.1\r\nHost: good.test\r\n\r\n" % target)
            answer = read_all(client)
        assert b"HTTP/1.1 400 " in answer
        assert b"rule: guards.protocol-mismatch" in answer
        assert b"send one plain head" in answer
        (record,) = stage.verdicts("Message")
        assert record["findings"][0]["kind"] == "protocol-mismatch"
        assert b"evil" not in server.received


def test_trailers_of_http1_end_the_request_and_go_no_further() -> None:
    with Stage() as stage:
        server = stage.upstream(echo_bodies)
        with stage.tls(stage.door(server.port)) as client:
            head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n"
            client.sendall(head.encode() + b"3\r\nend\r\n0\r\nX-Trailer: 1\r\n\r\n")
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"x-trailer" not in server.received.lower()


def test_an_endless_head_ends_the_flow() -> None:
    with Stage() as stage:
        with stage.tls(stage.door(1)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n")
            with pytest.raises((ConnectionError, ssl.SSLError)):
                flood(client, b"X: " + b"a" * 1000 + b"\r\n", 10_000)
        assert stage.wait_ended().sent < 20 * serve.HELD_LIMIT


# Upstream trouble


def test_a_server_that_is_down_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with Stage() as stage:
        answer = stage.ask(stage.door(port))
        assert answer.status_code == 502
        assert "The firewall could not reach the server" in answer.text
        assert "onnection refused by" in answer.text


@pytest.mark.parametrize(
    ("store", "name", "why"),
    [
        ("strangers", HOST, "unable to get local issuer certificate"),
        ("theirs", "other.test", "hostname mismatch"),
    ],
)
def test_a_server_that_proves_nothing_gets_nothing(store: str, name: str, why: str) -> None:
    with Stage() as stage:
        server = stage.upstream(swallow, store=getattr(stage, store), name=name)
        answer = stage.ask(stage.door(server.port), "/secret")
        assert answer.status_code == 502
        assert "Certificate verify failed" in answer.text
        assert why in answer.text.lower()
        assert server.received == b""


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"\x00\xff\r\n\r\n", b""])
def test_a_server_that_speaks_nonsense_is_a_502(reply: bytes) -> None:
    with Stage() as stage:
        server = stage.upstream(saying(reply))
        answer = stage.ask(stage.door(server.port))
        assert answer.status_code == 502
        assert "why: " in answer.text


def test_a_server_that_never_answers_the_dial_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "DIAL_SECONDS", 0.3)
    with Stage() as stage:
        server = stage.upstream(swallow, tls=False)
        answer = stage.ask(stage.door(server.port))
        assert answer.status_code == 502


def test_a_protocol_that_nobody_asked_for_is_refused() -> None:
    reply = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nxxx"
    with Stage() as stage:
        server = stage.upstream(saying(reply))
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(get("/", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"))
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"xxx" not in answer
        assert b"h2c" not in server.received
