"""What a UDP client's first datagram speaks."""

from firewall.protocols.identity import Identity
from firewall.protocols.tunnels.openvpn import is_hard_reset
from firewall.requests import Confidence, Finding, FindingKind, Protocol

_STUN_COOKIE = b"\x21\x12\xa4\x42"
_QUIC_VERSIONS = (
    b"\0\0\0\1",  # RFC 9000
    b"\x6b\x33\x43\xcf",  # RFC 9369
    b"\0\0\0\0",  # version negotiation, RFC 9000 section 17.2.1
)


def identify_datagram(data: bytes) -> Identity:
    """Name a client's first datagram; "unknown" where it is none of those known here."""
    for read in _READERS:
        if found := read(data):
            return found
    return Identity("unknown")


def _read_wireguard(data: bytes) -> Identity | None:
    """WireGuard white paper, section 5.4: initiation, response, cookie, data, by type and size."""
    sizes = {1: range(148, 149), 2: range(92, 93), 3: range(64, 65), 4: range(32, 1 << 16, 16)}
    kind = int.from_bytes(data[:4], "little")
    if len(data) not in sizes.get(kind, ()):
        return None
    names = {1: "handshake initiation", 2: "handshake response", 3: "cookie", 4: "data"}
    confidence: Confidence = "likely" if kind == 4 else "certain"
    evidence = f"WireGuard {names[kind]} of {len(data)} bytes"
    return _tunnel("wireguard", "wireguard", evidence, confidence)


def _read_openvpn(data: bytes) -> Identity | None:
    if not is_hard_reset(data):
        return None
    return _tunnel("openvpn", "openvpn", f"OpenVPN hard reset, opcode {data[0] >> 3}")


def _read_disco(data: bytes) -> Identity | None:
    """Tailscale disco/disco.go: the magic before a sender's key of 32 bytes and a nonce of 24."""
    if not data.startswith(b"TS\xf0\x9f\x92\xac") or len(data) < 62:
        return None
    return _tunnel("unknown", "tailscale", "Tailscale disco message")


def _read_discv4(data: bytes) -> Identity | None:
    """devp2p discv4.md: hash, signature with recovery id, packet type, an RLP list."""
    if len(data) < 100 or data[96] > 1 or not 1 <= data[97] <= 6:
        return None
    length = data[98] - 0xC0 if data[98] < 0xF8 else data[99]
    fits = data[98] in range(0xC1, 0xF9) and 98 + length < len(data)
    evidence = f"Ethereum node discovery, packet type {data[97]}"
    return _found("mining", "unknown", "ethereum-p2p", evidence, "likely") if fits else None


def _read_stun(data: bytes) -> Identity | None:
    """RFC 8489 section 5."""
    fits = len(data) >= 20 and data[0] < 0x40 and data[4:8] == _STUN_COOKIE
    return Identity("stun") if fits and int.from_bytes(data[2:4]) % 4 == 0 else None


def _read_quic(data: bytes) -> Identity | None:
    """RFC 9000 section 17.2 (long headers) and RFC 8999; drafts and gQUIC by their version."""
    version = data[1:5]
    known = version in _QUIC_VERSIONS or version[:3] == b"\xff\0\0" or version[:2] == b"Q0"
    fits = len(data) >= 7 and data[0] & 0x80 and known and data[5] <= 20
    return Identity("quic") if fits else None


def _read_dtls(data: bytes) -> Identity | None:
    """RFC 9147 section 4.1: a handshake record of version 1.0 or 1.2."""
    fits = data[:3] in (b"\x16\xfe\xff", b"\x16\xfe\xfd") and len(data) >= 25 and data[13] == 1
    return Identity("dtls") if fits else None


def _read_dns(data: bytes) -> Identity | None:
    """RFC 1035 section 4.1.1: a query with one question and no answers."""
    fits = len(data) >= 17 and data[2] & 0xF8 == 0 and data[4:10] == b"\0\1\0\0\0\0"
    return Identity("dns") if fits else None


def _tunnel(
    protocol: Protocol, name: str, evidence: str, confidence: Confidence = "certain"
) -> Identity:
    return _found("tunnel", protocol, name, evidence, confidence)


def _found(
    kind: FindingKind, protocol: Protocol, name: str, evidence: str, confidence: Confidence
) -> Identity:
    return Identity(
        protocol, findings=(Finding(kind, name, evidence, "first datagram", confidence),)
    )


_READERS = (
    _read_wireguard,
    _read_openvpn,
    _read_disco,
    _read_stun,
    _read_quic,
    _read_dtls,
    _read_dns,
    _read_discv4,
)
