"""What the lane does on one connection: order, reuse, and where it hands over to depth."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from firewall.proxy.lane import lane, visit
from firewall.proxy.lane.stream import Stream
from firewall.proxy.ways import way
from firewall.quota import Ledger
from firewall.requests import Connect, HttpRequest, Message, Protocol, Request
from firewall.verdict import Limit, Obligations, Verdict
from tests.unit.proxy.http.stage import (
    ALLOW,
    DENY,
    HANDSHAKE,
    HOST,
    LOGIN,
    SWITCHED,
    answering,
    echo_bodies,
    get,
    read_all,
    until,
    websocket,
)
from tests.unit.proxy.lane.stage import LaneStage

CLOSE = "Connection: close"


def decide(request: Request) -> Verdict:
    denied = isinstance(request, HttpRequest) and request.path == "/denied"
    return DENY if denied else ALLOW


@pytest.fixture(scope="module")
def stage() -> Iterator[LaneStage]:
    with LaneStage(decide) as made:
        yield made


async def echo_paths(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))
        await writer.drain()


async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that closes a kept connection without saying so."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    await writer.drain()


async def answer_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch")
    await writer.drain()
    await reader.read(1 << 20)


def test_requests_sent_ahead_are_answered_in_order(stage: LaneStage) -> None:
    server = stage.upstream(echo_paths)
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(get("/1") + get("/denied") + get("/2") + get("/3", CLOSE))
        answers = read_all(client)
    places = [answers.index(each) for each in (b"/1", b" 403 Blocked", b"/2", b"/3")]
    assert places == sorted(places)
    assert b"/denied" not in server.received
    assert server.connections == 1, "one client's requests share a connection"


def test_clients_share_idle_connections_one_after_the_other(stage: LaneStage) -> None:
    server = stage.upstream(echo_paths)
    door = stage.door(server.port)
    for _ in range(3):
        with stage.tls(door) as client:
            client.sendall(get("/x", CLOSE))
            assert read_all(client).endswith(b"/x")
    assert server.connections == 1


def test_what_cannot_be_asked_twice_goes_on_no_connection_of_another_client(
    stage: LaneStage,
) -> None:
    """A server closes a connection that nobody uses at the moment of a new client's request."""

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await reader.readuntil(b"\r\n\r\n")

    server = stage.upstream(answer_once)
    door = stage.door(server.port)
    for _ in range(2):
        with stage.tls(door) as client:
            client.sendall(get("/x", "Content-Length: 0", CLOSE).replace(b"GET", b"POST"))
            assert read_all(client).startswith(b"HTTP/1.1 200")
    assert server.connections == 2


def test_a_kept_connection_that_was_closed_is_no_trouble(stage: LaneStage) -> None:
    server = stage.upstream(answer_one)
    with stage.tls(stage.door(server.port)) as client:
        for _ in range(3):
            client.sendall(get())
            assert until(client, b"hello").startswith(b"HTTP/1.1 200")
    assert server.connections == 3


def test_a_connection_that_a_server_knows_its_client_by_is_not_given_on(
    stage: LaneStage,
) -> None:
    server = stage.upstream(echo_paths)
    door = stage.door(server.port)
    for _ in range(2):
        with stage.tls(door) as client:
            client.sendall(get("/x", "Authorization: Negotiate abc", CLOSE))
            assert read_all(client).endswith(b"/x")
    assert server.connections == 2


def test_what_nobody_asked_for_reaches_nobody(stage: LaneStage) -> None:
    """An answer too many, which the next request would take for its own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        writer.write(answer + b"first" + answer + b"extra")
        await writer.drain()
        await reader.read(1)

    server = stage.upstream(serve)
    with stage.tls(stage.door(server.port)) as client:
        for _ in range(2):
            client.sendall(get())
            assert b"first" in until(client, b"first")
    assert server.connections == 2


def test_a_client_that_does_not_read_is_not_read(
    stage: LaneStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = stage.door(stage.upstream(answering()).port)
    with stage.tls(door) as client:
        monkeypatch.setattr(Stream, "full", property(lambda _: True))
        client.sendall(get("/denied") * 2)
        assert until(client, b"rule").count(b" 403 Blocked") == 1
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            until(client, b" 403 Blocked")


def test_a_slow_reader_gets_all_of_a_last_answer(
    stage: LaneStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(visit, "DISCARD_SECONDS", 0)
    monkeypatch.setattr(Stream, "full", property(lambda _: False))
    body = bytes(8 << 20)
    with stage.tls(stage.door(stage.upstream(answering(body)).port)) as client:
        client.sendall(get("/", CLOSE))
        assert until(client, b"200 OK")
        threading.Event().wait(0.3)
        assert len(read_all(client)) > len(body) - (1 << 20)


def test_no_refusal_is_written_into_an_answer(
    stage: LaneStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    async def mine_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{}\n")
        await asyncio.to_thread(begun.wait, 10)
        writer.write(LOGIN)

    def rule(request: Request) -> Verdict:
        return DENY if isinstance(request, Message) else ALLOW

    monkeypatch.setattr(stage.policy, "rule", rule)
    with stage.tls(stage.door(stage.upstream(mine_later).port)) as client:
        client.sendall(get())
        until(client, b"{}")
        begun.set()
        assert read_all(client) == b""
    assert stage.rules()[-1] == DENY.rule


def test_a_connection_with_content_that_may_be_a_request_is_not_given_on(
    stage: LaneStage,
) -> None:
    server = stage.upstream(answering())
    door = stage.door(server.port)
    hidden = get("/hidden")
    for said in (get("/", f"Content-Length: {len(hidden)}") + hidden, get()):
        with stage.tls(door) as client:
            client.sendall(said)
            until(client, b"hello")
    assert server.connections == 2


def test_an_early_answer_reaches_a_client_that_still_sends(stage: LaneStage) -> None:
    server = stage.upstream(answer_early)
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: good.test\r\nContent-Length: 10\r\n\r\nhalf")
        assert b"413" in until(client, b"much")
        client.sendall(b"and it" + get("/denied"))
        assert until(client, b"policy").startswith(b"HTTP/1.1 403"), "the rest was read off"


def test_nobody_is_asked_for_the_body_of_a_denied_request(stage: LaneStage) -> None:
    server = stage.upstream(answering())
    head = (
        b"POST %b HTTP/1.1\r\nHost: good.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    )
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(head % b"/denied")
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 403")
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(head % b"/")
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    assert b"xpect" not in server.received


def test_a_websocket_goes_on_in_depth(stage: LaneStage) -> None:
    server = stage.upstream(websocket)
    before = len(stage.deep)
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(HANDSHAKE)
        assert until(client, b"\r\n\r\n").startswith(SWITCHED[:12])
    (given,) = stage.deep[before:]
    assert given.decrypted
    assert given.sni == HOST


def test_tool_calls_are_judged_by_depth(stage: LaneStage, monkeypatch: pytest.MonkeyPatch) -> None:
    obliged = replace(ALLOW, obligations=Obligations(tool_calls=True))
    monkeypatch.setattr(stage.policy, "rule", lambda _: obliged)
    server = stage.upstream(answering())
    before = len(stage.deep)
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(get("/", CLOSE))
        read_all(client)
    assert len(stage.deep) == before + 1


LIMITED = Limit("web", "sent", 100_000, 3600, "rule", "100KB/h", "p.yaml:7")
ANSWERS = replace(LIMITED, measure="received")


def _limit(stage: LaneStage, monkeypatch: pytest.MonkeyPatch, limit: Limit) -> None:
    stage.judge.quota = Ledger()
    obliged = replace(ALLOW, obligations=Obligations(limits=(limit,)))
    monkeypatch.setattr(stage.policy, "rule", lambda _: obliged)


def test_an_upload_beyond_a_limit_is_stopped_and_told(
    stage: LaneStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit(stage, monkeypatch, LIMITED)
    server = stage.upstream(echo_bodies)
    head = get("/", "Content-Length: 90000")
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(head + b"x" * 89_997 + b"end")
        assert until(client, b"ok").startswith(b"HTTP/1.1 200")
        client.sendall(head + b"y" * 89_997 + b"end")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 429 Blocked by the firewall: the limit ")
    assert b"\r\nRetry-After: " in answer
    assert b"the limit sent 100KB/h of rule web is reached: 9" in answer
    assert not server.received.endswith(b"yend")


def test_an_answer_beyond_a_limit_is_cut(stage: LaneStage, monkeypatch: pytest.MonkeyPatch) -> None:
    _limit(stage, monkeypatch, ANSWERS)
    server = stage.upstream(answering(b"z" * 5_000_000))
    with stage.tls(stage.door(server.port)) as client:
        client.sendall(get("/", CLOSE))
        answer = read_all(client)
    assert answer.count(b"z") <= 100_000
    assert stage.log.events[-1]["verdict"]["rule"] == "limits.web"


def test_a_client_resumes_its_session(stage: LaneStage) -> None:
    door = stage.door(stage.upstream(answering()).port)
    context = ssl.create_default_context(cafile=stage.our_ca)
    session = None
    for resumed in (False, True):
        with stage.plain(door) as plain:
            client = context.wrap_socket(plain, server_hostname=HOST, session=session)
            client.sendall(get("/", CLOSE))
            read_all(client)
            assert client.session_reused is resumed
            session = client.session
            client.close()


@pytest.mark.parametrize(
    ("protocol", "alpn", "obliged", "expected"),
    [
        ("tls", (), Obligations(), "lane"),
        ("tls", ("h2", "http/1.1"), Obligations(), "lane"),
        ("tls", ("http/1.1",), Obligations(), "lane"),
        ("tls", ("h2",), Obligations(), "depth"),
        ("tls", ("imap",), Obligations(), "depth"),
        ("tls", (), Obligations(tool_calls=True), "depth"),
        ("tls", ("h2", "http/1.1"), Obligations(inject=("model-api",)), "depth"),
        ("tls", (), Obligations(tls="passthrough"), "relay"),
        ("http", (), Obligations(), "lane"),
        ("http2", (), Obligations(), "depth"),
        ("ssh", (), Obligations(), "depth"),
        ("ssh", (), Obligations(ssh="relay"), "relay"),
        ("silent", (), Obligations(ssh="gateway"), "depth"),
        ("unknown", (), Obligations(), "relay"),
    ],
)
def test_the_way_of_an_allowed_flow(
    stage: LaneStage,
    protocol: Protocol,
    alpn: tuple[str, ...],
    obliged: Obligations,
    expected: str,
) -> None:
    asked = Connect(HOST, 443, protocol=protocol, alpn=alpn, address="192.0.2.1")
    verdict = replace(ALLOW, obligations=obliged)
    assert way(asked, verdict, stage.lane) == expected
    assert way(asked, verdict, None) == expected.replace("lane", "depth")
