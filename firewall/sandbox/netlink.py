"""Just enough netlink to configure a network namespace: messages, attributes, acknowledgements.

Formats: netlink(7), linux/netlink.h. Written out here because importing a netlink library takes
longer (a third of a second) than everything else that a sandbox needs to start.
"""

import os
import socket
import struct
from collections.abc import Iterable, Sequence

from firewall.frozen import frozen

NLM_F_REQUEST = 1
NLM_F_ACK = 4
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800

NETLINK_SOCK_DIAG = 4
NLMSG_ERROR = 2

_NLA_F_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_RECEIVE_BYTES = 1 << 16


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute (struct nlattr), padded to four bytes."""
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NLA_F_NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """An attribute that holds a NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


@frozen
class Message:
    """One request: its type, its flags besides NLM_F_REQUEST, and its body."""

    kind: int
    flags: int
    body: bytes

    def encode(self, sequence: int) -> bytes:
        """The message as it goes to the kernel."""
        length = _HEADER.size + len(self.body)
        header = _HEADER.pack(length, self.kind, self.flags | NLM_F_REQUEST, sequence, 0)
        return header + self.body + b"\0" * (-length % 4)


def replies(data: bytes) -> Iterable[tuple[int, bytes]]:
    """The type and body of each message in what the kernel sent."""
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def error_of(body: bytes) -> int:
    """The errno in the body of an NLMSG_ERROR, 0 for an acknowledgement."""
    (code,) = struct.unpack_from("=i", body)
    return -int(code)


def transact(protocol: int, messages: Sequence[Message]) -> None:
    """Send messages in one datagram and wait for every acknowledgement asked for.

    Raises OSError with the kernel's errno and the number of the message it refused.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:
        link.send(b"".join(message.encode(number) for number, message in enumerate(messages)))
        awaited = sum(1 for message in messages if message.flags & NLM_F_ACK)
        while awaited:
            awaited -= _acknowledged(link.recv(_RECEIVE_BYTES))


def _acknowledged(data: bytes) -> int:
    count = 0
    for kind, body in replies(data):
        if kind != NLMSG_ERROR:
            continue
        if code := error_of(body):
            (number,) = struct.unpack_from("=I", body, 12)
            raise OSError(code, f"netlink message {number}: {os.strerror(code)}")
        count += 1
    return count
