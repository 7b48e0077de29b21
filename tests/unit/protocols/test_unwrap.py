"""What streams wrap: handshakes passed over, whole protocols inside messages."""

import gzip
from collections.abc import Callable

import pytest

from firewall.protocols.content import DECODED
from firewall.protocols.mining.messages import inspect_json
from firewall.requests import Direction
from tests.unit.protocols.samples import LOGIN, SUBSCRIBE, client_hello, frame, watch

SOCKS5 = b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0cpool.example\x0d\x05"
PASSWORD = b"\x05\x02\x00\x02" + b"\x01\x03bob\x06secret" + b"\x05\x01\x00\x01\1\2\3\4\x0d\x05"
SOCKS4A = b"\x04\x01\x0d\x05\0\0\0\1me\0pool.example\0"
REPLY5 = b"\x05\x00" + b"\x05\x00\x00\x01\0\0\0\0\0\0"
REPLY_PASSWORD = b"\x05\x02\x01\x00" + b"\x05\x00\x00\x01\0\0\0\0\0\0"
REPLY4 = b"\x00\x5a\0\0\0\0\0\0"
CONNECT = b"CONNECT p:3333 HTTP/1.1\r\nHost: p:3333\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
YAMUX = b"\0\1\0\1\0\0\0\1\0\4\0\0"
NOTIFY = b'{"id":null,"method":"mining.notify","params":[]}\n'
AGREED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

CASES: list[tuple[str, str, Direction, bytes, list[tuple[str, str, str]]]] = [
    (
        "login after SOCKS5",
        "tcp stream",
        "sent",
        SOCKS5 + LOGIN,
        [
            ("socks", "certain", "client bytes 0-2"),
            ("socks", "certain", "client bytes 0-21"),
            ("monero-stratum", "certain", "client bytes 22-80"),
        ],
    ),
    (
        "login after SOCKS5 with a password",
        "tls stream",
        "sent",
        PASSWORD + LOGIN,
        [
            ("socks", "certain", "client bytes 0-3"),
            ("socks", "certain", "client bytes 0-25"),
            ("monero-stratum", "certain", "client bytes 26-84"),
        ],
    ),
    (
        "subscription after SOCKS4a",
        "tcp stream",
        "sent",
        SOCKS4A + SUBSCRIBE,
        [
            ("socks", "certain", "client bytes 0-23"),
            ("socks", "certain", "client bytes 0-23"),
            ("stratum", "certain", "client bytes 24-76"),
        ],
    ),
    (
        "job after SOCKS5",
        "tcp stream",
        "received",
        REPLY5 + NOTIFY,
        [("stratum", "certain", "server bytes 12-59")],
    ),
    (
        "job after SOCKS5 with a password",
        "tcp stream",
        "received",
        REPLY_PASSWORD + NOTIFY,
        [("stratum", "certain", "server bytes 14-61")],
    ),
    (
        "job after SOCKS4",
        "tcp stream",
        "received",
        REPLY4 + NOTIFY,
        [("stratum", "certain", "server bytes 8-55")],
    ),
    (
        "yamux after CONNECT",
        "tcp stream",
        "sent",
        CONNECT + YAMUX,
        [("http-connect", "certain", "request head"), ("yamux", "certain", "client bytes 0-7")],
    ),
    (
        "SOCKS in CONNECT in SOCKS",
        "tcp stream",
        "sent",
        SOCKS5 + CONNECT + SOCKS5 + LOGIN,
        [
            ("socks", "certain", "client bytes 0-2"),
            ("socks", "certain", "client bytes 0-21"),
            ("http-connect", "certain", "request head"),
            ("monero-stratum", "certain", "client bytes 85-143"),
        ],
    ),
    (
        "yamux after CONNECT's answer",
        "tcp stream",
        "received",
        ESTABLISHED + YAMUX,
        [("yamux", "certain", "server bytes 0-7")],
    ),
    (
        "TLS in inspected TLS",
        "tls stream",
        "sent",
        client_hello(),
        [("tls-in-tls", "likely", "first bytes, sent")],
    ),
    (
        "TLS in a WebSocket",
        "websocket",
        "sent",
        client_hello(),
        [("tls-in-websocket", "likely", "first bytes, sent")],
    ),
    (
        "TLS in a WebSocket on a bare stream",
        "tcp stream",
        "sent",
        UPGRADE + frame(client_hello()[:9], first=0x82) + frame(client_hello()[9:], first=0x82),
        [("tls-in-websocket", "likely", "first bytes, sent")],
    ),
    (
        "a request towards the client in a WebSocket",
        "websocket",
        "received",
        b"GET /admin HTTP/1.1\r\nHost: inside\r\n\r\n",
        [("http-in-websocket", "likely", "first bytes, received")],
    ),
    (
        "a multiplexer in a WebSocket",
        "websocket",
        "sent",
        YAMUX,
        [("yamux", "likely", "client bytes 0-7")],
    ),
    (
        "few bytes of SOCKS in a WebSocket",
        "websocket",
        "sent",
        b"\x05\x01\x00",
        [("socks", "suspicious", "client bytes 0-2")],
    ),
    (
        "all of SOCKS in a WebSocket",
        "websocket",
        "sent",
        SOCKS5,
        [("socks", "suspicious", "client bytes 0-2"), ("socks", "certain", "client bytes 0-21")],
    ),
    (
        "TLS in a body",
        "http body",
        "sent",
        client_hello(),
        [("tls-in-http-body", "likely", "first bytes, sent")],
    ),
    (
        "a server that asks for what is behind its client",
        "tcp stream",
        "received",
        b"GET / HTTP/1.1\r\nHost: box.localtunnel.example\r\n\r\n",
        [("reverse-http", "likely", "first bytes, received")],
    ),
    (
        "a server that shakes hands as a client",
        "tls stream",
        "received",
        client_hello(),
        [("reverse-tls", "likely", "first bytes, received")],
    ),
    (
        "an agreed WebSocket that is none",
        "tcp stream",
        "received",
        AGREED + frame(b"hello", mask=b"") + b"\x53\x53anything else",
        [("websocket-misused", "likely", f"server bytes from {len(AGREED) + 9}")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("carrier", "direction", "data", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
@pytest.mark.parametrize("size", [1 << 20, 7, 1])
def test_finds(
    carrier: str, direction: Direction, data: bytes, expected: list[tuple[str, str, str]], size: int
) -> None:
    found = watch(data, size, carrier, direction)
    assert [(each.name, each.confidence, each.where) for each in found] == expected


def chunks(content: bytes, size: int) -> bytes:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def web(content: bytes, fields: bytes, length: int | None = None) -> bytes:
    """A request with this content; in chunks of one byte where no length is given."""
    framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    head = b"POST /a HTTP/1.1\r\nHost: h\r\n%b%b\r\n\r\n" % (fields, framing)
    return head + (chunks(content, 1) if length is None else content)


GZIP = b"Content-Encoding: gzip\r\n"


@pytest.mark.parametrize("size", [1 << 20, 7, 1])
@pytest.mark.parametrize("wrap", [bytes, lambda data: SOCKS5 + data], ids=["alone", "after SOCKS"])
def test_the_content_of_a_request_is_read_without_its_chunks_and_codings(
    wrap: Callable[[bytes], bytes], size: int
) -> None:
    packed, quoted = gzip.compress(NOTIFY), b'a file\n{"a":1}\n' + NOTIFY
    for data in (
        web(NOTIFY, b""),
        web(packed, GZIP),
        web(packed, GZIP, len(packed)),
        web(b'{"a":1}\n' + NOTIFY, b"", 8 + len(NOTIFY)),
    ):
        found = {each.name for each in watch(wrap(data), size) if each.confidence == "certain"}
        assert found - {"socks"} == {"stratum"}, data
    for data in (web(quoted, b""), web(gzip.compress(quoted), GZIP), web(packed, b"")):
        found = {each.name for each in watch(wrap(data), size) if each.confidence == "certain"}
        assert found <= {"socks"}, data


def test_only_so_much_of_a_coded_content_is_decoded() -> None:
    packed = gzip.compress(b" " * (2 * DECODED) + NOTIFY)
    assert watch(web(packed, GZIP, len(packed)), 1 << 20) == []


QUIET = [
    ("websocket", "sent", b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"),
    ("websocket", "sent", b"CONNECT\naccept-version:1.2\nhost:h\n\n\0"),  # STOMP
    ("websocket", "sent", b'{"op":2,"d":{"token":"x"}}'),
    ("websocket", "received", b"GET ready for the next round, folks!\r\n\r\n"),
    ("http body", "sent", b"\x05\x01\x00\x05\x01\x00\x03"),
    ("http body", "received", b"\0\1\0\1\0\0\0\1\0\4\0\0"),
    ("http body", "sent", b"GET / HTTP/1.1\r\nHost: a-saved-request\r\n\r\n"),
    ("tcp stream", "received", b"\x05\x00"),
    ("tcp stream", "received", b"\x00\x5arest"),
    ("tcp stream", "received", b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + YAMUX),
    ("tcp stream", "sent", client_hello()),
]


@pytest.mark.parametrize(("carrier", "direction", "data"), QUIET)
def test_quiet(carrier: str, direction: Direction, data: bytes) -> None:
    for size in (1, 1 << 20):
        assert watch(data, size, carrier, direction) == []


def test_streams_inside_each_other_end_somewhere() -> None:
    data = SOCKS5 * 50 + LOGIN
    found = watch(data, len(data))
    assert len(found) < 20
    assert inspect_json(LOGIN, raw=True)
