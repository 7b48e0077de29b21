"""Capture files: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng)."""

from collections.abc import Buffer, Iterator
from struct import Struct

from firewall.frozen import frozen

_PCAP = {0xA1B2C3D4: 1e-6, 0xA1B23C4D: 1e-9}
"""Magic numbers, and the unit of the second half of a time."""

_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
"""Block types of pcapng."""

_BYTE_ORDER = 0x1A2B3C4D
_RESOLUTION = 9
"""Option if_tsresol: a power of ten, or of two with the high bit."""

_PACKET_LIMIT = 1 << 20
"""Bytes of one packet; jumbo frames and offloaded segments stay below 256 KiB."""


class CaptureError(ValueError):
    """The file is no capture, or is damaged. The text says where."""


@frozen
class Packet:
    """A captured packet. `time` is in seconds, `link` a LINKTYPE number (tcpdump.org/linktypes)."""

    time: float
    link: int
    data: bytes


def is_capture(data: bytes) -> bool:
    """Whether a file that begins so is a capture."""
    return data[:4] == b"\x0a\x0d\x0d\x0a" or any(_magics(data[:4]))


def read_packets(data: Buffer) -> Iterator[Packet]:
    """The packets of a whole file, in its order.

    Raises CaptureError at the first thing that is none, after the packets before it; a file that
    ends inside a packet ends before it.
    """
    view = memoryview(data)
    start = bytes(view[:4])
    if start == b"\x0a\x0d\x0d\x0a":
        yield from _Blocks(view).read()
    elif order := next(_magics(start), None):
        yield from _read_pcap(view, order)
    else:
        raise CaptureError("neither pcap nor pcapng: the first four bytes are no magic number")


def _magics(start: bytes) -> Iterator[str]:
    for order in "<>":
        if len(start) == 4 and Struct(f"{order}I").unpack(start)[0] in _PCAP:
            yield order


def _read_pcap(view: memoryview, order: str) -> Iterator[Packet]:
    if len(view) < 24:
        return
    unit = _PCAP[Struct(f"{order}I").unpack_from(view)[0]]
    link = Struct(f"{order}I").unpack_from(view, 20)[0] & 0xFFFF
    record = Struct(f"{order}IIII")
    at = 24
    while at + 16 <= len(view):
        seconds, fraction, size, _ = record.unpack_from(view, at)
        if size > _PACKET_LIMIT:
            raise CaptureError(f"a packet of {size} bytes at byte {at}")
        at += 16 + size
        if at > len(view):
            return
        yield Packet(seconds + fraction * unit, link, bytes(view[at - size : at]))


class _Blocks:
    """The blocks of a pcapng file, which may hold several sections with interfaces of their own."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._order = "<"
        self._interfaces: list[tuple[int, float]] = []

    def read(self) -> Iterator[Packet]:
        at = 0
        while at + 12 <= len(self._view):
            kind, size = self._header(at)
            if size < 12 or size % 4:
                raise CaptureError(f"a block of {size} bytes at byte {at}")
            if at + size > len(self._view):
                return
            yield from self._block(kind, self._view[at + 8 : at + size - 4])
            at += size

    def _header(self, at: int) -> tuple[int, int]:
        (kind,) = Struct(f"{self._order}I").unpack_from(self._view, at)
        if kind == _SECTION:
            self._begin_section(at)
        (size,) = Struct(f"{self._order}I").unpack_from(self._view, at + 4)
        return kind, size

    def _begin_section(self, at: int) -> None:
        for order in "<>":
            if Struct(f"{order}I").unpack_from(self._view, at + 8)[0] == _BYTE_ORDER:
                self._order = order
                self._interfaces = []
                return
        raise CaptureError(f"a section without a byte order at byte {at}")

    def _block(self, kind: int, body: memoryview) -> Iterator[Packet]:
        if kind == _INTERFACE and len(body) >= 8:
            (link,) = Struct(f"{self._order}H").unpack_from(body)
            self._interfaces.append((link, self._unit(body[8:])))
        elif kind == _ENHANCED and len(body) >= 20:
            number, high, low, size = Struct(f"{self._order}IIII").unpack_from(body)
            if number < len(self._interfaces) and size <= len(body) - 20:
                link, unit = self._interfaces[number]
                yield Packet(((high << 32) + low) * unit, link, bytes(body[20 : 20 + size]))
        elif kind == _SIMPLE and len(body) >= 4 and self._interfaces:
            (size,) = Struct(f"{self._order}I").unpack_from(body)
            yield Packet(0.0, self._interfaces[0][0], bytes(body[4 : 4 + size]))

    def _unit(self, options: memoryview) -> float:
        """The unit of an interface's times."""
        option = Struct(f"{self._order}HH")
        at = 0
        while at + 4 <= len(options):
            code, size = option.unpack_from(options, at)
            if code == _RESOLUTION and size == 1 and at + 4 < len(options):
                value = options[at + 4]
                return float(2.0 ** -(value & 0x7F) if value & 0x80 else 10.0**-value)
            at += 4 + size + -size % 4
        return 1e-6
