"""IP packets from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5)."""

from firewall.frozen import frozen
from firewall.protocols.captures.packets import after_extensions

_FRAGMENT = 44
"""IPv6's header of a fragment."""
_PACKETS = 64
"""Packets that may wait for fragments; the oldest are given up."""
_LIMIT = 1 << 16
"""Bytes of one packet."""

type _Pieces = dict[int, tuple[bytes, bool]]
"""By offset: the data, and whether more follows."""


@frozen
class _Fragment:
    """`head` is that of the whole packet, with a length of zero: as long as it comes."""

    key: bytes
    head: bytes
    offset: int
    more: bool
    data: bytes


class Fragments:
    """Joins fragments in any order; where they overlap, or some never come, they stay apart."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, _Pieces] = {}

    def join(self, body: bytes) -> bytes:
        """The IP packet that a fragment completes; any other, and fragments till then, as is."""
        found = _read(body)
        if found is None:
            return body
        pieces = self._waiting.pop(found.key, {})
        pieces[found.offset] = found.data, found.more
        whole = _whole(pieces)
        if whole is not None:
            return found.head + whole
        if sum(len(data) for data, _ in pieces.values()) <= _LIMIT:
            self._waiting[found.key] = pieces
        if len(self._waiting) > _PACKETS:
            del self._waiting[next(iter(self._waiting))]
        return body


def _read(body: bytes) -> _Fragment | None:
    if len(body) < 20:
        return None
    if body[0] >> 4 == 4:
        return _read_ipv4(body)
    return _read_ipv6(body) if body[0] >> 4 == 6 and len(body) >= 40 else None


def _read_ipv4(body: bytes) -> _Fragment | None:
    header, total = (body[0] & 0x0F) * 4, int.from_bytes(body[2:4])
    place = int.from_bytes(body[6:8])
    if not place & 0x3FFF or header < 20:
        return None
    key = body[4:6] + body[9:10] + body[12:20]
    head = body[:2] + bytes(2) + body[4:6] + bytes(2) + body[8:header]
    data = body[header : total or len(body)]
    return _Fragment(key, head, (place & 0x1FFF) * 8, bool(place & 0x2000), data)


def _read_ipv6(body: bytes) -> _Fragment | None:
    kind, at = after_extensions(body)
    if kind != _FRAGMENT or len(body) < at + 8:
        return None
    place = int.from_bytes(body[at + 2 : at + 4])
    key = body[at + 4 : at + 8] + body[8:40]
    head = body[:4] + bytes(2) + body[at : at + 1] + body[7:40]
    data = body[at + 8 : 40 + int.from_bytes(body[4:6])]
    return _Fragment(key, head, place & 0xFFF8, bool(place & 1), data)


def _whole(pieces: _Pieces) -> bytes | None:
    """All of it, once no piece is missing."""
    data, more = b"", True
    while more:
        piece, more = pieces.get(len(data), (b"", True))
        if more and not piece:
            return None
        data += piece
    return data
