"""Every opening of a tunnel, by either side, however it is cut and carried."""

from collections.abc import Callable

import pytest

from firewall.requests import Direction
from tests.unit.protocols.samples import UPGRADE, deflate, frame, watch
from tests.unit.protocols.tunnels.test_openings import DIGEST, SMUX
from tests.unit.protocols.tunnels.test_openvpn import PLAIN

YAMUX = b"\0\1\0\1\0\0\0\1\0\4\0\0"

OPENINGS: dict[str, tuple[str, Direction, bytes]] = {
    "SSH client": ("ssh", "sent", b"SSH-2.0-OpenSSH_9.9\r\n"),
    "SSH server": ("ssh", "received", b"SSH-2.0-OpenSSH_9.9\r\n"),
    "chisel": ("chisel", "sent", b"SSH-chisel-v3-client\r\n"),
    "SOCKS5": ("socks", "sent", b"\x05\x01\x00\x05\x01\x00\x03\x01a\x0d\x05"),
    "SOCKS4": ("socks", "sent", b"\x04\x01\x0d\x05\x7f\0\0\1u\0"),
    "CONNECT": ("http-connect", "sent", b"CONNECT a:22 HTTP/1.1\r\nHost: a:22\r\n\r\n"),
    "frp": ("frp", "sent", b"o\0\0\0\0\0\0\0\x3c{"),
    "frp 2": ("frp", "sent", b"FRP\0\x02\r\n"),
    "yamux": ("yamux", "sent", YAMUX),
    "yamux server": ("yamux", "received", YAMUX),
    "smux": ("smux", "sent", SMUX + b"\x01\x02\x05\x00\x03\x00\x00\x00hello"),
    "rathole": ("rathole", "sent", b"\0\0\0\0\1" + DIGEST),
    "OpenVPN": ("openvpn", "sent", len(PLAIN).to_bytes(2) + PLAIN),
    "DERP server": ("derp", "received", b"\1\0\0\0\x28DERP\xf0\x9f\x94\x91" + bytes(32)),
}

AGREED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

CARRIERS: dict[str, dict[Direction, Callable[[bytes], bytes]]] = {
    "nothing": {"sent": bytes, "received": bytes},
    "CONNECT": {
        "sent": lambda data: b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + data,
        "received": lambda data: b"HTTP/1.1 200 Connection established\r\n\r\n" + data,
    },
    "SOCKS 5": {
        "sent": lambda data: b"\x05\x01\x00\x05\x01\x00\x03\x01b\x01\xbb" + data,
        "received": lambda data: b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0" + data,
    },
    "WebSocket": {
        "sent": lambda data: UPGRADE + frame(data, first=0x82),
        "received": lambda data: AGREED + frame(data, first=0x82, mask=b""),
    },
    "compressed WebSocket": {
        "sent": lambda data: UPGRADE + frame(deflate(data), first=0xC2),
        "received": lambda data: AGREED + frame(deflate(data), first=0xC2, mask=b""),
    },
    "CONNECT in SOCKS 5": {
        "sent": lambda data: (
            b"\x05\x01\x00\x05\x01\x00\x03\x01b\x01\xbb"
            b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + data
        ),
        "received": lambda data: (
            b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0HTTP/1.1 200 OK\r\n\r\n" + data
        ),
    },
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("size", [1 << 16, 1, 5])
def test_it_is_named(opening: str, carrier: str, size: int) -> None:
    name, direction, data = OPENINGS[opening]
    carried = CARRIERS[carrier][direction](data)
    for stream in ("tcp stream", "tls stream", "ssh stream"):
        assert name in {each.name for each in watch(carried, size, stream, direction)}, stream
