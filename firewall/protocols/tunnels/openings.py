"""First bytes of tunnels that speak neither SSH, SOCKS nor HTTP."""

from firewall.protocols.identity import MORE
from firewall.protocols.shapes import ANY, Length, Opening, fixed
from firewall.protocols.tunnels.openvpn import HARD_RESETS, is_hard_reset

_HEX = b"0123456789abcdef"


_RATHOLE = (b"\0\1", *fixed(b"\0\0\0\1"), *[ANY] * 32)


def _read_rathole(data: bytes) -> Length:
    """The digest of a service's name, or a nonce: no such thing repeats its bytes."""
    return 37 if len(set(data[5:37])) >= 12 else None


def _read_openvpn(data: bytes) -> Length:
    """Over TCP each packet comes behind its length in two bytes."""
    end = 2 + int.from_bytes(data[:2])
    if end < 16:
        return None
    if len(data) < end:
        return MORE
    return end if is_hard_reset(data[2:end]) else None


def _read_smux(data: bytes) -> Length:
    """A stream is opened, and the first frame after that carries its data."""
    if len(data) < 16:
        return MORE
    follows = data[8:10] == data[:1] + b"\2" and data[12:16] == data[4:8]
    return 16 if follows and data[10:12] != b"\0\0" else None


_YAMUX = (
    # hashicorp/yamux spec.md: version 0, data or window update, SYN, first stream of either side;
    # frp and ligolo-ng
    Opening("tunnel", "yamux", "first stream", (b"\0", b"\0\1", *fixed(b"\0\1\0\0\0"), b"\1\2")),
    Opening("tunnel", "yamux", "ping", fixed(b"\0\2\0\1\0\0\0\0")),
)

FROM_CLIENTS = (
    # frp pkg/msg/msg.go: type 'o', a 64-bit length, JSON; pkg/proto/wire/wire.go: version 2
    Opening("tunnel", "frp", "login message", (*fixed(b"o\0\0\0\0\0\0"), ANY, ANY, b"{")),
    Opening("tunnel", "frp", "version 2 greeting", fixed(b"FRP\0\2\r\n")),
    # frp pkg/util/net/tls.go: a byte of its own before TLS
    Opening("tunnel", "frp", "TLS behind byte 0x17", (*fixed(b"\x17\x16\x03"), b"\0\1\2\3")),
    *_YAMUX,
    # xtaci/smux README: version, command SYN, no data, the client's first streams; gost, kcptun
    Opening(
        "tunnel",
        "smux",
        "first stream",
        (b"\1\2", *fixed(b"\0\0\0"), b"\1\3", *fixed(b"\0\0\0")),
        _read_smux,
    ),
    # rathole src/protocol.rs: Hello of either channel, protocol version 1, a 32-byte digest
    Opening("tunnel", "rathole", "hello", _RATHOLE, _read_rathole),
    Opening("tunnel", "rathole", "hello with a poor digest", _RATHOLE, confidence="suspicious"),
    Opening("tunnel", "openvpn", "hard reset", (b"\0\1\2\3", ANY, HARD_RESETS), _read_openvpn),
    # trojan-gfw docs/protocol.md: hex of SHA-224, CRLF, a SOCKS5 command and address type
    Opening("tunnel", "trojan", "request", (*[_HEX] * 56, *fixed(b"\r\n"), b"\1\3", b"\1\3\4")),
)

FROM_SERVERS = (
    *_YAMUX,
    # tailscale derp/derp.go: frame type 1, its length, the magic "DERP" and a key
    Opening(
        "tunnel", "derp", "server key", (*fixed(b"\1\0\0\0"), ANY, *fixed(b"DERP\xf0\x9f\x94\x91"))
    ),
)
