"""Builds capture files from what two sides say."""

from ipaddress import ip_address
from struct import pack

from firewall.requests import Direction

CLIENT, SERVER = ("10.0.0.2", 40000), ("192.0.2.1", 3333)
SYN, ACK = 2, 16

type Place = tuple[str, int]


def ip(source: str, target: str, kind: int, payload: bytes) -> bytes:
    ends = ip_address(source).packed + ip_address(target).packed
    if len(ends) == 8:
        return pack(">BBHIBBH", 0x45, 0, 20 + len(payload), 0, 64, kind, 0) + ends + payload
    return pack(">IHBB", 6 << 28, len(payload), kind, 64) + ends + payload


def tcp(
    source: Place, target: Place, sequence: int, data: bytes = b"", *, flags: int = ACK
) -> bytes:
    ports = pack(">HH", source[1], target[1])
    head = ports + pack(">IIBBHHH", sequence % (1 << 32), 0, 5 << 4, flags, 9999, 0, 0)
    return ip(source[0], target[0], 6, head + data)


def udp(source: Place, target: Place, data: bytes) -> bytes:
    head = pack(">HHHH", source[1], target[1], 8 + len(data), 0)
    return ip(source[0], target[0], 17, head + data)


def conversation(
    parts: list[tuple[Direction, bytes]],
    *,
    client: Place = CLIENT,
    server: Place = SERVER,
    size: int = 1460,
) -> list[bytes]:
    """The IP packets of a connection: a handshake, then the parts cut into segments."""
    ends = {"sent": (client, server), "received": (server, client)}
    at = {"sent": 1000, "received": (1 << 32) - 20}
    packets = [
        tcp(client, server, at["sent"], flags=SYN),
        tcp(server, client, at["received"], flags=SYN | ACK),
    ]
    at = {name: number + 1 for name, number in at.items()}
    for direction, data in parts:
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            packets.append(tcp(*ends[direction], at[direction], piece))
            at[direction] += len(piece)
    return packets


def pcap(
    packets: list[bytes], *, link: int = 101, order: str = "<", magic: int = 0xA1B2C3D4
) -> bytes:
    head = pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    records = (
        pack(f"{order}IIII", number, 500_000, len(each), len(each)) + each
        for number, each in enumerate(packets)
    )
    return head + b"".join(records)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = pack(f"{order}I", 12 + len(body))
    return pack(f"{order}I", kind) + size + body + size


def pcapng(
    packets: list[bytes], *, link: int = 101, order: str = "<", simple: bool = False
) -> bytes:
    section = block(0x0A0D0D0A, pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    nanoseconds = pack(f"{order}HHB3xHH", 9, 1, 9, 0, 0)
    interface = block(1, pack(f"{order}HHI", link, 0, 0) + nanoseconds, order)
    blocks = []
    for number, each in enumerate(packets):
        ticks = number * 10**9 + 5 * 10**8
        head = pack(f"{order}IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(each), len(each))
        body = pack(f"{order}I", len(each)) if simple else head
        blocks.append(block(3 if simple else 6, body + each, order))
    return section + interface + block(5, bytes(8), order) + b"".join(blocks)
