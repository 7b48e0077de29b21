"""Tells of every packet that arrives at an interface, a line each; run beside the servers.

"tcp 203.0.113.5 443", or with "later" what opens no connection; "icmp6 135"; "frame 88b5"; and a
datagram that begins with "mark", whole.
"""

import socket
import struct
import sys

ARRIVED_FROM_OUTSIDE = (0, 1, 2, 3)
"""Packet types that are not our own sending (packet(7))."""
IPV4, IPV6, ALL = 0x0800, 0x86DD, 3
SYN, SYN_ACK = 0x02, 0x12
NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 2: "igmp"}


def told(kind: int, data: bytes) -> str:
    if kind == IPV4:
        protocol, address, rest = data[9], socket.inet_ntop(2, data[16:20]), data[20:]
    elif kind == IPV6:
        protocol, address, rest = data[6], socket.inet_ntop(10, data[24:40]), data[40:]
    else:
        return f"frame {kind:04x}"
    name = NAMES.get(protocol, str(protocol))
    if name == "icmp6":
        return f"icmp6 {rest[0]}"
    if name == "udp" and rest[8:12] == b"mark":
        return rest[8:].decode()
    port = f" {struct.unpack_from('!H', rest, 2)[0]}" if name in ("tcp", "udp") else ""
    later = " later" if name == "tcp" and rest[13] & SYN_ACK != SYN else ""
    return f"{name} {address}{port}{later}"


def main(interface: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL)) as listener:
        listener.bind((interface, ALL))
        print("ready", flush=True)
        while True:
            data, (_, kind, direction, *_) = listener.recvfrom(1 << 16)
            if direction in ARRIVED_FROM_OUTSIDE:
                print(told(kind, data), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
