"""SSH's first bytes (RFC 4253), recognised and spoken."""

import re

from firewall.protocols.identity import MORE, Answer, Identity

_BANNER = b"SSH-"
_SERVER_BANNER = b"SSH-2.0-firewall\r\n"
_DISCONNECT = 1
_BY_APPLICATION = 11

BANNER = re.compile(rb"(?:\A|\n)(SSH-(?:2\.0|1\.[0-9]{1,2}|chisel-v[0-9]+)-)")
"""A banner where a line starts: a server may send other lines first (RFC 4253 section 4.2).

chisel wraps SSH with a version of its own (chisel share/version.go).
"""


def recognise(data: bytes) -> Answer:
    """Identify an SSH client, whose banner is always its first line."""
    if data.startswith(_BANNER):
        return Identity("ssh")
    return MORE if _BANNER.startswith(data) else None


def disconnect(reason: str) -> bytes:
    """What to send to an SSH client to turn it away with `reason` on its user's screen.

    A server banner and one unencrypted SSH_MSG_DISCONNECT (RFC 4253 sections 4.2, 6 and 11.1).
    """
    text = screen_text(reason)
    payload = (
        bytes([_DISCONNECT])
        + _BY_APPLICATION.to_bytes(4)
        + len(text).to_bytes(4)
        + text
        + (0).to_bytes(4)  # no language tag
    )
    return _SERVER_BANNER + _packet(payload)


def screen_text(reason: str, limit: int = 4 << 10) -> bytes:
    """`reason` as it may be shown on a terminal: no control characters, at most `limit` bytes."""
    printable = "".join(c if c.isprintable() else " " for c in reason)
    return printable.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore").encode()


def _packet(payload: bytes) -> bytes:
    """An SSH packet before any key exchange: padded to 8 bytes, at least 4 of them."""
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    body = bytes([padding]) + payload + bytes(padding)
    return len(body).to_bytes(4) + body
