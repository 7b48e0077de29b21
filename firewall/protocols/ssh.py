"""SSH's first bytes (RFC 4253), recognised and spoken."""

import re
from collections.abc import Iterator
from hashlib import md5

from firewall.protocols.identity import MORE, Answer, Identity

_BANNER = b"SSH-"
_SERVER_BANNER = b"SSH-2.0-firewall\r\n"
_DISCONNECT = 1
_BY_APPLICATION = 11
_LISTS_AT = 17
"""Where SSH_MSG_KEXINIT's name-lists begin: after its number and a cookie of 16 bytes."""
_LISTS = 10

BANNER = re.compile(rb"(?:\A|\n)(SSH-(?:2\.0|1\.[0-9]{1,2}|chisel-v[0-9]+)-)")
"""A banner where a line starts: a server may send other lines first (RFC 4253 section 4.2).

chisel wraps SSH with a version of its own (chisel share/version.go).
"""


def recognise(data: bytes) -> Answer:
    """Identify an SSH client, whose banner is always its first line."""
    if data.startswith(_BANNER):
        return Identity("ssh")
    return MORE if _BANNER.startswith(data) else None


def hassh(kexinit: bytes, *, server: bool = False) -> str:
    """The fingerprint of an SSH program's SSH_MSG_KEXINIT (RFC 4253 section 7.1), as 32 hex digits.

    HASSH of a client takes the algorithms it would send with, of a server those that it would
    (salesforce/hassh, python/hassh.py): key exchange, encryption, MAC, compression. "" where the
    payload is not whole.
    """
    lists = list(_name_lists(kexinit[_LISTS_AT:]))
    if kexinit[:1] != b"\x14" or len(lists) < _LISTS:
        return ""
    chosen = [lists[0], *(lists[number + server] for number in (2, 4, 6))]
    return md5(b";".join(chosen), usedforsecurity=False).hexdigest()


def guesses_wrong(client: bytes, server: bytes) -> bool:
    """Whether a client has sent a first key exchange packet that the server must ignore.

    Both are SSH_MSG_KEXINIT payloads. A guess is wrong where the two sides prefer another key
    exchange or host key algorithm, whichever is chosen in the end (RFC 4253 section 7).
    """
    ours, theirs = (list(_name_lists(each[_LISTS_AT:])) for each in (server, client))
    if min(len(ours), len(theirs)) < _LISTS:
        return False
    follows = client[_LISTS_AT + sum(4 + len(each) for each in theirs) :][:1] not in (b"", b"\0")
    preferred = [(a.split(b",")[0], b.split(b",")[0]) for a, b in zip(ours, theirs, strict=True)]
    return follows and any(a != b for a, b in preferred[:2])


def _name_lists(data: bytes) -> Iterator[bytes]:
    for _ in range(_LISTS):
        length = int.from_bytes(data[:4])
        if len(data) < 4 + length:
            return
        yield data[4 : 4 + length]
        data = data[4 + length :]


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
