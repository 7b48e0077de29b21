"""A server that repeats what it was sent tells the client no secret, by whichever road."""

import asyncio
import base64
import gzip
from collections.abc import Callable, Iterator

import httpx
import pytest
from h2.connection import H2Connection

from firewall.credentials import Secret
from firewall.held import Held
from firewall.requests import Message, Request
from firewall.vault import Vault
from firewall.verdict import Verdict
from tests.unit.proxy.http.stage import (
    ALLOW,
    DENY,
    HOST,
    Serve,
    saying,
    speak_http2,
    speaking_http2,
    until,
)
from tests.unit.proxy.lane.stage import LaneStage

VALUE = b"real-value-2233"
ROADS = ("lane", "depth", "http2")
VAULT = Vault([Held(Secret("env:KEY", "KEY"), "placeholder0011", VALUE.decode(), "")])


def decide(request: Request) -> Verdict:
    told = isinstance(request, Message) and any(each.kind == "secret" for each in request.findings)
    return DENY if told else ALLOW


@pytest.fixture(scope="module")
def shared() -> Iterator[LaneStage]:
    with LaneStage(decide) as made:
        made.judge.vault = VAULT
        made.interceptor.egress.judge.vault = VAULT
        yield made


@pytest.fixture
def stage(shared: LaneStage) -> LaneStage:
    shared.log.events.clear()
    return shared


def ask(stage: LaneStage, port: int, road: str) -> httpx.Response:
    return stage.ask(stage.door(port, deep=road != "lane"), http2=road == "http2")


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 %b OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon %b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n%b: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_a_head_that_cannot_be_read_is_not_repeated(
    stage: LaneStage, reply: bytes, road: str
) -> None:
    server = stage.upstream(saying(reply % VALUE))
    answer = ask(stage, server.port, road)
    assert answer.status_code == 502
    assert "cannot" in answer.text.lower()
    assert VALUE not in answer.content + str(answer.headers).encode()


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("reply", "where"),
    [
        (b"HTTP/1.1 200 %b\r\nContent-Length: 0\r\n\r\n", "reason phrase"),
        (b"HTTP/1.1 302 Found\r\nLocation: /?%b\r\nContent-Length: 0\r\n\r\n", "header location"),
        (b"HTTP/1.1 200 OK\r\n%b: a\r\nContent-Length: 0\r\n\r\n", "header name"),
    ],
)
def test_a_secret_anywhere_in_a_head_is_found(
    stage: LaneStage, reply: bytes, where: str, road: str
) -> None:
    server = stage.upstream(saying(reply % VALUE))
    answer = ask(stage, server.port, road)
    assert answer.status_code == 403
    (verdict,) = stage.verdicts("Message")
    assert [each["where"] for each in verdict["findings"]] == [where]


def telling(*pieces: bytes, head: bytes = b"") -> Serve:
    """Answers in chunks, the next one only after the client has said that it has the one before."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"Transfer-Encoding: chunked\r\n\r\n")
        for each in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(each), each))
            await writer.drain()
            await asyncio.sleep(0.05)  # so that they arrive apart
        writer.write(b"0\r\n\r\n")

    return serve


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("form", [bytes, base64.b64encode, gzip.compress])
def test_nothing_of_a_secret_goes_on_before_it_is_whole(
    stage: LaneStage, form: Callable[[bytes], bytes], road: str
) -> None:
    whole = form(b"it is " + VALUE)
    cut = {bytes: -1, base64.b64encode: -4, gzip.compress: -9}[form]
    coding = b"Content-Encoding: gzip\r\n" if form is gzip.compress else b""
    server = stage.upstream(telling(whole[:cut], whole[cut:], head=coding))
    with stage.client(http2=road == "http2") as client:
        door = stage.door(server.port, deep=road != "lane")
        url, names = f"https://127.0.0.1:{door}/", {"sni_hostname": HOST}
        asked = client.build_request("GET", url, headers={"host": HOST}, extensions=names)
        answer = client.send(asked, stream=True)
        got: list[bytes] = []
        with pytest.raises(httpx.HTTPError):
            got.extend(answer.iter_raw())
    assert got == []
    assert stage.rules()[-1] == DENY.rule


@pytest.mark.parametrize("road", ROADS)
def test_what_only_begins_like_a_secret_goes_on(stage: LaneStage, road: str) -> None:
    server = stage.upstream(telling(b"it is " + VALUE[:-1], b"!", b" It is " + VALUE[:-1]))
    answer = ask(stage, server.port, road)
    assert answer.content == b"it is real-value-223! It is real-value-223"


def test_a_secret_in_trailers_is_found(stage: LaneStage) -> None:
    told = ("grpc-message", f"no such key: {VALUE.decode()}")
    server = stage.upstream(speaking_http2(told), h2=True)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(stage, server.port, "http2")
    (verdict,) = stage.verdicts("Message")
    assert (verdict["direction"], verdict["findings"][0]["where"]) == (
        "received",
        "trailers, received",
    )


def test_a_placeholder_in_trailers_is_found(stage: LaneStage) -> None:
    server = stage.upstream(speak_http2, h2=True)
    h2 = H2Connection()
    h2.initiate_connection()
    names = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", HOST)]
    h2.send_headers(1, names)
    h2.send_data(1, b"some")
    h2.send_headers(1, [("x-more", "placeholder0011")], end_stream=True)
    with stage.tls(stage.door(server.port, deep=True), alpn=("h2",)) as client:
        client.sendall(h2.data_to_send())
        assert b"Blocked" in until(client, b"Blocked")
    (verdict,) = stage.verdicts("Message")
    assert (verdict["direction"], verdict["findings"][0]["name"]) == ("sent", "placeholder")
