"""WebSocket connections are judged at the upgrade and watched after it."""

import asyncio
import ssl

import pytest

from firewall.proxy.http.websocket import control
from tests.unit.proxy.http.stage import (
    ALLOW,
    DENY,
    HANDSHAKE,
    SUBSCRIBE,
    SWITCHED,
    Stage,
    deny_messages,
    flood,
    frame,
    messages,
    read_all,
    until,
    websocket,
)


@pytest.mark.parametrize(("text", "passes"), [(b"ping", True), (SUBSCRIBE, False)])
def test_websocket_messages_are_watched(text: bytes, passes: bool) -> None:
    with Stage(deny_messages) as stage:
        server = stage.upstream(websocket)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(HANDSHAKE)
            assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
            client.sendall(frame(text))
            answer = client.recv(65536)
            if passes:
                assert answer == b"\x81\x04pong"
            else:
                assert answer[:1] + answer[2:4] == b"\x88" + (1008).to_bytes(2, "big")
                assert b"the test denies it" in answer
                assert read_all(client) == b""
        (request,) = stage.verdicts("HttpRequest")
        assert request["upgrade"] == "websocket"
        if not passes:
            assert stage.verdicts("Message")[0]["carrier"] == "websocket"
            assert messages(server.received) == b""


@pytest.mark.parametrize("opcode", [b"\x88", b"\x89", b"\x8a"])
@pytest.mark.parametrize("sent", [True, False])
def test_what_control_frames_hold_is_watched(opcode: bytes, sent: bool) -> None:
    content = b"\x03\xe8" * (opcode == b"\x88") + SUBSCRIBE

    async def telling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(SWITCHED)
        if not sent:
            writer.write(opcode + bytes([len(content)]) + content)
        while await reader.read(65536):
            pass

    with Stage(deny_messages) as stage:
        server = stage.upstream(telling)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(HANDSHAKE)
            answer = until(client, b"\r\n\r\n")
            if sent:
                client.sendall(opcode + bytes([0x80 | len(content)]) + b"\0\0\0\0" + content)
            answer += read_all(client)
        assert SUBSCRIBE not in answer
        assert b"mining" not in messages(server.received)
        (verdict,) = stage.verdicts("Message")
        assert verdict["direction"] == ("sent" if sent else "received")


def test_a_ping_passes() -> None:
    with Stage() as stage:
        server = stage.upstream(websocket)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(HANDSHAKE + b"\x89\x82\0\0\0\0hi")
            assert b"\x81\x04pong" in until(client, b"pong")
        assert control(messages(server.received)) == b"hi"


def test_a_denied_upgrade_never_reaches_the_server() -> None:
    with Stage(lambda each: DENY if getattr(each, "upgrade", None) else ALLOW) as stage:
        server = stage.upstream(websocket)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(HANDSHAKE)
            assert client.recv(65536).startswith(b"HTTP/1.1 403 ")
        assert server.connections == 0


def test_a_message_too_large_to_be_seen_whole_is_refused() -> None:
    with Stage() as stage:
        server = stage.upstream(websocket)
        with stage.tls(stage.door(server.port)) as client:
            client.sendall(HANDSHAKE)
            assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
            opening = b"\x01\xff" + (64 << 20).to_bytes(8, "big") + b"\0\0\0\0"
            client.sendall(opening)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                flood(client, b"x" * 65536, 1000)
        assert stage.wait_ended().sent < 40_000_000
