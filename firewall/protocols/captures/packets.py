"""From a captured packet to the segment or datagram in it.

Ethernet with VLAN tags, Linux "cooked" captures, loopback and raw IP; IPv4 (RFC 791) and IPv6 (RFC
8200), TCP (RFC 9293) and UDP (RFC 768). Fragments but the first are passed over,
unless they are joined before (fragments.py).
"""

from collections.abc import Callable
from ipaddress import ip_address
from struct import Struct
from typing import Literal

from firewall.frozen import frozen
from firewall.protocols.captures.files import Packet

type Place = tuple[str, int]
"""Address and port."""

_ETHERNET_HEADERS = {1: 12, 113: 14, 276: 0}
"""Where the EtherType stands, by LINKTYPE: Ethernet, LINUX_SLL, LINUX_SLL2."""

_AFTER_TYPE = {276: 20}
"""Where the payload starts, where that is not right after the type."""

_RAW = {101, 12, 14, 228, 229}
_LOOPBACK = {0, 108}
_VLAN = {0x8100, 0x88A8, 0x9100}
_TCP, _UDP = 6, 17
_EXTENSIONS = {0, 43, 60}
"""IPv6 headers that are passed over: hop-by-hop, routing, destination options."""

_PORTS = Struct(">HH")
_SEGMENT = Struct(">HHIIBB")


@frozen
class Segment:
    """A TCP segment's or a UDP datagram's data. `sequence`, `syn` and `ack` are TCP's."""

    time: float
    transport: Literal["tcp", "udp"]
    source: Place
    target: Place
    data: bytes
    sequence: int = 0
    syn: bool = False
    ack: bool = False


def read_segment(packet: Packet, join: Callable[[bytes], bytes] = bytes) -> Segment | None:
    """The segment in a packet; None where there is none, or not all of its header.

    `join` is given the IP packet, and returns the one to read (Fragments.join).
    """
    body = join(_ip(packet))
    if len(body) < 20:
        return None
    version = body[0] >> 4
    if version == 4:
        return _ipv4(packet.time, body)
    return _ipv6(packet.time, body) if version == 6 and len(body) >= 40 else None


def _ip(packet: Packet) -> bytes:
    """What stands behind the link's header."""
    if packet.link in _RAW:
        return packet.data
    if packet.link in _LOOPBACK:
        return packet.data[4:]
    at = _ETHERNET_HEADERS.get(packet.link)
    if at is None:
        return b""
    data = packet.data
    start = _AFTER_TYPE.get(packet.link, at + 2)
    while int.from_bytes(data[at : at + 2]) in _VLAN:
        at += 4
        start += 4
    return data[start:] if data[at : at + 2] in (b"\x08\x00", b"\x86\xdd") else b""


def _ipv4(time: float, body: bytes) -> Segment | None:
    header, total = (body[0] & 0x0F) * 4, int.from_bytes(body[2:4])
    if header < 20 or int.from_bytes(body[6:8]) & 0x1FFF:
        return None
    # Offloaded segments are captured with a length of zero.
    payload = body[header : total or len(body)]
    return _transport(time, body[9], body[12:16], body[16:20], payload)


def _ipv6(time: float, body: bytes) -> Segment | None:
    kind, at = after_extensions(body)
    end = 40 + int.from_bytes(body[4:6]) if body[4:6] != b"\0\0" else len(body)
    return _transport(time, kind, body[8:24], body[24:40], body[at:end])


def after_extensions(body: bytes) -> tuple[int, int]:
    """The kind of the first header of IPv6 that is not passed over, and where it starts."""
    kind, at = body[6], 40
    while kind in _EXTENSIONS and at + 8 <= len(body):
        kind, at = body[at], at + 8 + 8 * body[at + 1]
    return kind, at


def _transport(
    time: float, kind: int, source: bytes, target: bytes, payload: bytes
) -> Segment | None:
    if len(payload) < (20 if kind == _TCP else 8) or kind not in (_TCP, _UDP):
        return None
    ports = _PORTS.unpack_from(payload)
    places = [
        (str(ip_address(each)), port) for each, port in zip((source, target), ports, strict=True)
    ]
    if kind == _UDP:
        return Segment(time, "udp", places[0], places[1], payload[8:])
    _, _, sequence, _, offset, flags = _SEGMENT.unpack_from(payload)
    data = payload[(offset >> 4) * 4 :] if offset >> 4 >= 5 else b""
    syn, ack = bool(flags & 2), bool(flags & 16)
    return Segment(time, "tcp", places[0], places[1], data, sequence, syn, ack)
