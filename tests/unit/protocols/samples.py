"""First bytes of many protocols, and ways to cut and garble them."""

import zlib

from hypothesis import strategies as st

from firewall.protocols import Watch
from firewall.requests import Direction, Finding


def client_hello(
    extensions: bytes = b"", *, record: int = 1 << 14, ciphers: bytes = b"\x13\x01"
) -> bytes:
    """A ClientHello with these extensions, cut into records of at most `record` bytes."""
    body = b"\x03\x03" + bytes(32) + b"\x00" + len(ciphers).to_bytes(2) + ciphers + b"\x01\x00"
    body += len(extensions).to_bytes(2) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    pieces = [message[at : at + record] for at in range(0, len(message), record)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2) + piece for piece in pieces)


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2) + len(data).to_bytes(2) + data


def server_name(name: bytes) -> bytes:
    entry = b"\x00" + len(name).to_bytes(2) + name
    return extension(0, len(entry).to_bytes(2) + entry)


def alpn(*names: bytes) -> bytes:
    block = b"".join(bytes([len(name)]) + name for name in names)
    return extension(16, len(block).to_bytes(2) + block)


def frame(payload: bytes, *, first: int = 0x81, mask: bytes = b"\x11\x22\x33\x44") -> bytes:
    """A WebSocket frame; masked unless `mask` is empty."""
    bit = 0x80 if mask else 0
    size = len(payload)
    length = bytes([bit | size]) if size < 126 else bytes([bit | 126]) + size.to_bytes(2)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if mask else payload
    return bytes([first]) + length + mask + masked


def deflate(payload: bytes) -> bytes:
    """A WebSocket message's payload, compressed (RFC 7692 section 7.2.1)."""
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    whole = coder.compress(payload) + coder.flush(zlib.Z_SYNC_FLUSH)
    return whole.removesuffix(b"\0\0\xff\xff")


SUBSCRIBE = b'{"id": 1, "method": "mining.subscribe", "params": []}\n'
LOGIN = b'{"method":"login","params":{"login":"w","pass":"x"},"id":1}\n'
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

FIRST_BYTES = [
    client_hello(server_name(b"api.example") + alpn(b"h2"), record=40),
    b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"\r\nPOST http://a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n" + SUBSCRIBE,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4",
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"\x05\x01\x00\x05\x01\x00\x03",
    b"\x04\x01\x00\x50\x00\x00\x00\x01user\x00host.example\x00",
    SUBSCRIBE + LOGIN,
    b'\xef\xbb\xbf [{"method":\n"mining.subscribe"},{"id":2}]\r\n',
    b'{"a":\n{"id":1,"method":"keepalived"}\n',
    b'hello\n{"method":"getwork"} SSH-2.0-x\nSSH-2.0-y\n',
    b'{"Hello":0}\0',
    b"\xf9\xbe\xb4\xd9version\0\0\0\0\0",
    b"JOB,me,MEDIUM,\n",
    UPGRADE + frame(SUBSCRIBE) + frame(b"", first=0x89) + frame(b"SSH-2.0-x", mask=b""),
    b"EHLO a\r\nMAIL FROM:<a@b>\r\n",
]

WRAPPED = [
    b"\x05\x02\x00\x02\x01\x01u\x01p\x05\x01\x00\x03\x01a\x00\x50" + LOGIN,
    b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0" + SUBSCRIBE,
    b"HTTP/1.1 200 Connection established\r\n\r\n\0\1\0\1\0\0\0\1",
    b"\xff" + bytes(8) + b"\x7f\x03" + b"\0\x18\1json-minimal-chain_main",
    b"\x01\0\0\0\x03\0\0\0\x01\x02\x05\0\x03\0\0\0hello",
    b"\0\x0e\x38\x9a\x1b\x2c\x3d\x4e\x5f\x60\x71\0\0\0\0\0",
    b"\1\0\0\0\x28DERP\xf0\x9f\x94\x91",
    UPGRADE + frame(b"\x05\x01\x00\x05\x01\x00\x03", first=0x82),
    UPGRADE + frame(deflate(SUBSCRIBE), first=0xC1) + b"\n" + SUBSCRIBE,
]
"""Streams with others inside, and openings of tunnels."""


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Several samples in a row, with a few bytes changed."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(FIRST_BYTES + WRAPPED), max_size=3))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from(
                [b"", b"\n", b'"', b"\\", b"{", b"}", b"[", b"\0", b"\xff", b"\r\n\r\n"]
            )
        )
    return bytes(data)


def watch(
    data: bytes, size: int, carrier: str = "tcp stream", direction: Direction = "sent"
) -> list[Finding]:
    """All findings of a stream fed in pieces of `size` bytes."""
    watching = Watch(carrier, direction)
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return [finding for piece in pieces for finding in watching.feed(piece)]
