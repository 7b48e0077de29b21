"""WebSocket connections are judged at the upgrade and watched after it."""

import ssl

import pytest

from tests.unit.proxy.http.stage import (
    ALLOW,
    DENY,
    HANDSHAKE,
    SUBSCRIBE,
    Stage,
    deny_messages,
    flood,
    frame,
    messages,
    read_all,
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
