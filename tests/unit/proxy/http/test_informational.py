"""1xx responses: advice that is dropped, so that the answer behind it arrives."""

import asyncio

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

from tests.unit.proxy.http.stage import Serve, Stage, get, read_all, saying, send

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def pieces(*replies: bytes) -> Serve:
    """Answers each request with these, each in a packet of its own where it can be."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            for reply in replies:
                writer.write(reply)
                await writer.drain()
                await asyncio.sleep(0.02)

    return serve


async def hinting_http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    h2 = H2Connection(H2Configuration(client_side=False))
    h2.initiate_connection()
    while True:
        writer.write(h2.data_to_send())
        await writer.drain()
        data = await reader.read(65536)
        if not data:
            return
        for event in h2.receive_data(data):
            if isinstance(event, StreamEnded):
                stream = event.stream_id or 0
                h2.send_headers(stream, [(":status", "103"), ("link", "</a.css>; rel=preload")])
                h2.send_headers(stream, [(":status", "200")])
                h2.send_data(stream, b"hello", end_stream=True)


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize(
    "replies",
    [
        (HINTS, ANSWER),
        (HINTS + ANSWER,),
        (HINTS[:20], HINTS[20:] + ANSWER[:7], ANSWER[7:]),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", HINTS, ANSWER),
        (b"HTTP/1.1 103\r\n\r\n" * 3000 + ANSWER,),
    ],
)
def test_advice_of_an_http1_server_is_dropped(http2: bool, replies: tuple[bytes, ...]) -> None:
    with Stage() as stage:
        server = stage.upstream(pieces(*replies))
        door = stage.door(server.port)
        with stage.client(http2=http2) as client:
            answers = [send(client, door, path) for path in ("/1", "/2")]
        assert [(each.status_code, each.text) for each in answers] == [(200, "hello")] * 2
        assert stage.rules() == ["test-allow"] * 2


def test_advice_of_an_http2_server_is_dropped() -> None:
    with Stage() as stage:
        server = stage.upstream(hinting_http2, h2=True)
        answer = stage.ask(stage.door(server.port), http2=True)
        assert (answer.status_code, answer.text) == (200, "hello")


def test_the_answer_alone_reaches_the_client() -> None:
    with Stage() as stage:
        server = stage.upstream(saying(HINTS + ANSWER))
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(get("/", "Connection: close"))
            answer = read_all(client)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"103" not in answer


def test_a_server_that_only_advises_is_a_502() -> None:
    with Stage() as stage:
        server = stage.upstream(saying(HINTS))
        answer = stage.ask(stage.door(server.port))
        assert answer.status_code == 502
        assert "server closed connection" in answer.text
