"""OpenVPN's first packet (doc/doxygen/doc_protocol_overview.h; src/openvpn/ssl_pkt.h).

An opcode and key id in one byte, a session id of 8 bytes, then by kind of protection: nothing, an
HMAC (tls-auth), or a packet id and time in clear before the rest is encrypted (tls-crypt).
"""

HARD_RESETS = b"\x38\x50"
"""P_CONTROL_HARD_RESET_CLIENT_V2 and V3 (opcodes 7 and 10) with key id 0."""

_PLAIN = 14
_AUTHENTICATED = {42: 20, 54: 32, 86: 64}
"""Length of a reset under tls-auth, and of its HMAC: SHA-1, SHA-256, SHA-512."""

_CRYPTED = range(54, 1500)
_EPOCHS = range(0x4A000000, 0x90000000)
"""2009 to 2046: when tls-auth or tls-crypt can have begun."""


def is_hard_reset(packet: bytes) -> bool:
    """Whether a whole packet opens an OpenVPN session."""
    if len(packet) < _PLAIN or packet[0] not in HARD_RESETS or len(set(packet[1:9])) < 4:
        return False
    if len(packet) == _PLAIN:
        return packet[9:] == bytes(5)  # nothing to acknowledge, message 0
    digest = _AUTHENTICATED.get(len(packet))
    if digest is not None and _replay_guard(packet, 9 + digest) and packet[-5:] == bytes(5):
        return True
    return len(packet) in _CRYPTED and _replay_guard(packet, 9)


def _replay_guard(packet: bytes, at: int) -> bool:
    """Packet id 1 and a time."""
    number, seconds = packet[at : at + 4], packet[at + 4 : at + 8]
    return number in (b"\0\0\0\1", b"\x0f\0\0\1") and int.from_bytes(seconds) in _EPOCHS
